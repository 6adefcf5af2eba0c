"""PgBouncer for tests: private, before a PostgreSQL that runs already."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from tests.services.postgres import Database, find_user
from tests.services.process import Process, Unavailable, find_port, wait_until

MISSING = "These tests need PgBouncer: run `apt-get install pgbouncer` (it is started privately)."


class Bouncer:
    """A pooler before the server of `url`, as whose user all log in; `mode` is `transaction` or `session`.

    It has few connections to the server, so that its clients take turns on them. `settings` are further ones, such as
    `ignore_startup_parameters`.
    """

    def __init__(self, url: str, mode: str, **settings: str) -> None:
        self.mode = mode
        self._port = find_port()
        self._folder = Path(tempfile.mkdtemp(prefix="relay-pgbouncer-"))
        user = find_user()
        if user:
            shutil.chown(self._folder, user)
        parts = urlsplit(url)
        login = f"user={unquote(parts.username or 'postgres')}"
        if parts.password:
            login += f" password='{unquote(parts.password)}'"
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self._port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": "3" if mode == "transaction" else "50",
            **settings,
        }
        file = self._folder / "pgbouncer.ini"
        server = f"* = host={parts.hostname} port={parts.port or 5432} {login}"
        file.write_text(
            "\n".join(["[databases]", server, "[pgbouncer]", *(f"{key} = {value}" for key, value in lines.items()), ""])
        )
        file.chmod(0o644)
        self._server = Process([_find_program(), str(file)], log=self._folder / "pgbouncer.log", user=user)
        self._probe = Database(self.before(url))
        wait_until(self._ready, seconds=30, alive=self._server.alive, describe=self._server.describe)

    def before(self, url: str) -> str:
        """The URL of the same database through the pooler; `any` takes whatever user is named."""
        return urlunsplit(urlsplit(url)._replace(netloc=f"relay@127.0.0.1:{self._port}"))

    def close(self) -> None:
        self._server.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ready(self) -> bool:
        try:
            self._probe.run("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


@contextmanager
def run_bouncer(url: str, mode: str = "transaction", **settings: str) -> Iterator[Bouncer]:
    """A pooler for as long as the block lasts."""
    bouncer = Bouncer(url, mode, **settings)
    try:
        yield bouncer
    finally:
        bouncer.close()


def _find_program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    if found is None:
        raise Unavailable(MISSING)
    return found
