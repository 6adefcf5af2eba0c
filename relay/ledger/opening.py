"""From a URL to a ledger that is ready."""

from functools import partial
from typing import Final
from urllib.parse import unquote

from relay.errors import RelayError, Unavailable
from relay.ledger import migrate as steps
from relay.ledger import postgres, sqlite, work
from relay.ledger.commit import Store
from relay.ledger.faults import Unusable
from relay.ledger.ledger import SqlLedger
from relay.ledger.terms import Terms
from relay.secret import Secret

_SQLITE: Final = "sqlite:///"


async def open_ledger(
    url: str, terms: Terms, *, password: Secret | None = None, ca_file: str | None = None, migrate: bool = False
) -> SqlLedger:
    """Open `sqlite:///relay.db` (migrates by itself) or `postgresql://user@host:5432/relay`.

    Raises Unusable with what to do when a person must act (a file that is no database, in use, read-only; a refused
    login; pending steps on PostgreSQL without `migrate`), Unavailable while the server is away.
    """
    if is_file(url):
        return SqlLedger(await _open_file(_path(url), terms), terms)
    return SqlLedger(await _open_server(url, password, ca_file, migrate=migrate), terms)


async def migrate_ledger(url: str, *, password: Secret | None = None, ca_file: str | None = None) -> list[str]:
    """Bring the schema up to date; gives the steps that were applied. Raises as `open_ledger`."""
    store = await _connect(url, password, ca_file)
    try:
        return await store.write(steps.upgrade)
    finally:
        await store.aclose()


async def pending_steps(url: str, *, password: Secret | None = None, ca_file: str | None = None) -> list[str]:
    """The steps that `migrate_ledger` would apply. Raises as `open_ledger`."""
    store = await _connect(url, password, ca_file)
    try:
        return await store.read(steps.pending)
    finally:
        await store.aclose()


def is_file(url: str) -> bool:
    """Whether the URL names an embedded ledger. Raises Unusable when it names neither kind."""
    scheme = url.partition(":")[0]
    if scheme in {"postgresql", "postgres"}:
        return False
    if url.startswith(_SQLITE) and _path(url):
        return True
    raise Unusable(
        f"ledger.url begins with {scheme!r}: write sqlite:///relay.db, sqlite:////an/absolute/path.db or "
        "postgresql://user@host:5432/relay"
    )


def _path(url: str) -> str:
    return unquote(url.removeprefix(_SQLITE))


async def _connect(url: str, password: Secret | None, ca_file: str | None) -> Store:
    if is_file(url):
        return sqlite.SqliteStore(_path(url))
    engine = postgres.connect(url.replace("postgres://", "postgresql://", 1), password=password, ca_file=ca_file)
    try:
        await postgres.reach(engine)
    except RelayError:
        await engine.dispose()
        raise
    return postgres.PostgresStore(engine)


async def _open_file(path: str, terms: Terms) -> Store:
    store = sqlite.SqliteStore(path)
    try:
        await store.write(steps.upgrade)
        await store.write(partial(work.void, terms=terms))
    except Unavailable as error:
        await store.aclose()
        raise sqlite.unusable(path, str(error)) from None
    except BaseException:
        await store.aclose()
        raise
    return store


async def _open_server(url: str, password: Secret | None, ca_file: str | None, *, migrate: bool) -> Store:
    store = await _connect(url, password, ca_file)
    try:
        if migrate:
            await store.write(steps.upgrade)
        left = await store.read(steps.pending)
        if left:
            raise Unusable(
                f"the ledger's schema lacks {len(left)} step(s) ({', '.join(left)}): run `relay migrate`, or serve "
                "with --migrate"
            )
    except RelayError:
        await store.aclose()
        raise
    return store
