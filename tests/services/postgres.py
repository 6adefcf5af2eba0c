"""PostgreSQL for tests: a private cluster, or the ready one that RELAY_TEST_POSTGRES names; a database per test."""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tests.services.authority import Identity
from tests.services.process import Process, Unavailable, find_port, wait_until

_QUICK = {"wal_level": "minimal", "max_wal_senders": "0", "full_page_writes": "off", "max_wal_size": "128MB"}
"""A third of the time for the database that each test is given: nobody replicates it, and no machine loses power."""

MISSING = (
    "These tests need PostgreSQL: run `apt-get install postgresql` (it is started privately, the system's own is left"
    " alone) or `pip install pgserver`, or set RELAY_TEST_POSTGRES=postgresql://user:password@host:5432/postgres to a"
    " ready one where that user may create databases."
)


class Database:
    """A server that runs already; `url` names a database of it that one may connect to."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a fresh database, a copy of `template`, dropped at the end whoever is still connected.

        `template` is a name, or the URL of a database to which nobody is connected.
        """
        name = f"test_{uuid4().hex[:12]}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{urlsplit(template).path.lstrip("/")}" {self._strategy}')
        try:
            yield urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))
        finally:
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    @cached_property
    def _strategy(self) -> str:
        """Files are copied in half of the time that it takes to log them. PostgreSQL 14 knows nothing else."""
        return "STRATEGY file_copy" if int(self.ask("SHOW server_version_num")) >= 15_00_00 else ""

    def run(self, statement: str) -> None:
        """One statement, outside a transaction. Raises OSError or asyncpg.PostgresError."""
        self._do_apart(asyncpg.Connection.execute, statement)

    def ask(self, question: str) -> Any:
        """The first value of the first row. Raises as `run`."""
        return self._do_apart(asyncpg.Connection.fetchval, question)

    def _do_apart(self, how: Callable[[asyncpg.Connection, str], Awaitable[Any]], statement: str) -> Any:
        with ThreadPoolExecutor(1) as thread:  # the test's own event loop is none of its business
            return thread.submit(asyncio.run, _execute(self.url, how, statement)).result()


class Cluster(Database):
    """A private cluster in a folder of its own; it can be killed and started again.

    Nothing is forced to disk: what survives the death of a process does not depend on it, and tests are faster.
    `settings` are the server's. With an `identity` it takes TLS, beside connections without. Its socket is in `folder`,
    which is made in `parent`. As a `standby` of another one it follows that until it is promoted.
    """

    def __init__(
        self,
        identity: Identity | None = None,
        *,
        standby: "Cluster | None" = None,
        parent: Path | None = None,
        **settings: str,
    ) -> None:
        self._bin = _find_programs()
        self._user = find_user()
        self.folder = Path(tempfile.mkdtemp(prefix="relay-postgres-", dir=parent))
        self.port = find_port()
        super().__init__(f"postgresql://postgres@127.0.0.1:{self.port}/postgres")
        self._server: Process | None = None
        self._settings = settings
        try:
            if self._user:
                shutil.chown(self.folder, self._user)
            if standby is None:
                self._init()
            else:
                self._copy(standby)
            if identity is not None:
                self._settings |= self._adopt(identity)
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it (again), with what it kept; returns when it takes connections. About half a second."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "max_connections": "200",
            "dynamic_shared_memory_type": "mmap",  # in its folder: what a killed server leaves goes with that
            **self._settings,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *options]
        server = Process(command, log=self.folder / "server.log", user=self._user)
        self._server = server
        wait_until(self._ready, seconds=60, alive=server.alive, describe=server.describe)

    def stop(self) -> None:
        """An orderly end that does not wait for clients ("fast")."""
        if self._server:
            self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL for the server and every process of a connection."""
        if self._server:
            self._server.kill()

    def alive(self) -> bool:
        """Whether the server's process runs."""
        return self._server is not None and self._server.alive()

    def freeze(self) -> None:
        """No new connection is answered until `thaw`; those that are open go on."""
        if self._server:
            self._server.send(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._server:
            self._server.send(signal.SIGCONT)

    def hang(self) -> None:
        """Nothing is answered until `resume`, on connections that are open neither."""
        if self._server:
            self._server.send_all(signal.SIGSTOP)

    def resume(self) -> None:
        if self._server:
            self._server.send_all(signal.SIGCONT)

    def close(self) -> None:
        """End it and forget everything."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def follow(self, primary: "Cluster") -> None:
        """Begin anew as a standby of that one, at the same address; returns when it takes (read-only) connections."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self._copy(primary)
        self.start()

    def promote(self) -> None:
        """The standby takes writes from now on."""
        self._do("pg_ctl", "promote", "-D", str(self.folder / "data"))

    def _init(self) -> None:
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        self._do("initdb", "-D", str(self.folder / "data"), *options)

    def _copy(self, primary: "Cluster") -> None:
        login = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._do("pg_basebackup", "-D", str(self.folder / "data"), *login, *options)

    def _do(self, program: str, *args: str) -> None:
        log = self.folder / f"{program}.log"
        Process([str(self._bin / program), *args], log=log, user=self._user).finish(seconds=60)

    def _adopt(self, identity: Identity) -> dict[str, str]:
        """The settings for TLS; the server reads its key only from a file that is its own alone."""
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        identity.write(certificate, key)
        if self._user:
            shutil.chown(key, self._user)
        return {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}

    def _ready(self) -> bool:
        try:
            self.run("SELECT 1")
        except (OSError, asyncpg.CannotConnectNowError):
            return False
        return True


@contextmanager
def run_postgres() -> Iterator[Database]:
    """The ready server of RELAY_TEST_POSTGRES, or a private cluster for as long as the block lasts."""
    ready = os.environ.get("RELAY_TEST_POSTGRES")
    if ready:
        database = Database(ready)
        try:
            database.run("SELECT 1")
        except (OSError, asyncpg.PostgresError) as error:
            raise Unavailable(f"RELAY_TEST_POSTGRES names a server that does not answer: {error}. {MISSING}") from error
        yield database
        return
    with run_cluster(**_QUICK) as cluster:
        yield cluster


@contextmanager
def run_cluster(identity: Identity | None = None, **settings: str) -> Iterator[Cluster]:
    cluster = Cluster(identity, **settings)
    try:
        yield cluster
    finally:
        cluster.close()


async def _execute(url: str, how: Callable[[asyncpg.Connection, str], Awaitable[Any]], statement: str) -> Any:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await how(connection, statement)
    finally:
        await connection.close()


def find_user() -> str:
    """PostgreSQL refuses to run as root: the account to run it as, or nothing when we are not root."""
    if os.geteuid() != 0:
        return ""
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


def _find_programs() -> Path:
    """Where `initdb` and `postgres` are: Debian's newest, those on the path, those of the package pgserver."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = [*reversed(debian), *_ask_config(), *_ask_pgserver()]
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Unavailable(MISSING)


def _ask_config() -> list[Path]:
    config = shutil.which("pg_config")
    if config is None:
        return []
    return [Path(subprocess.run([config, "--bindir"], check=True, capture_output=True, text=True).stdout.strip())]


def _ask_pgserver() -> list[Path]:
    spec = find_spec("pgserver")
    return [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []
