"""Opens, migrates and rekeys the ledger that a URL names."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from relay.dsn import Dsn
from relay.errors import RelayError, Unavailable
from relay.ledger.engine import migrate as steps
from relay.ledger.engine import postgres, rights, script, sqlite
from relay.ledger.engine.commit import Store, Work
from relay.ledger.engine.faults import Unopened, Unusable, describe, is_forbidden
from relay.ledger.engine.vault import OPEN, Vault
from relay.ledger.ledger import SqlLedger
from relay.ledger.queries import days, health, work
from relay.ledger.queries.rekey import Progress, Rekeyed, rekey
from relay.ledger.terms import Terms
from relay.model import LedgerHealth
from relay.place import exists

T = TypeVar("T")

_SQLITE: Final = "sqlite:///"
_TURNS: Final = 3
"""Iterations of the event loop that close the sockets of failed connections. The loop may end after them."""


async def open_ledger(
    url: str, terms: Terms, *, migrate: bool = False, vault: Vault = OPEN, **access: Any
) -> SqlLedger:
    """Open `sqlite:///relay.db`, which is migrated in any case, or `postgresql://user@host:5432/relay`.

    `access` is for PostgreSQL: `password`, `ca_file`, `cert_file`, `key_file`, `schema`, all optional.
    Raises Unusable, with what to do, when a person must act (the file is no database, in use or read-only; the login is
    refused; a privilege is missing; steps are pending on PostgreSQL without `migrate`). Raises Unavailable while a
    server cannot be reached.
    """
    if is_file(url):
        return SqlLedger(await _open_file(_path(url), terms, vault), terms)
    store = await _open_server(postgres.locate(url, **access), terms, vault, migrate=migrate)
    store.timeout = terms.timeout / 1_000  # only now: migrations and checks may take longer
    return SqlLedger(store, terms)


async def migrate_ledger(url: str, **access: Any) -> list[str]:
    """Migrate the schema. Returns the steps that were applied. Raises as `open_ledger`."""
    if is_file(url):
        return await _finish(sqlite.SqliteStore(_path(url)), steps.upgrade)
    dsn = postgres.locate(url, **access)
    return await _finish(await _connect(dsn), partial(_upgrade, dsn=dsn))


async def rekey_ledger(url: str, vault: Vault, progress: Progress, **access: Any) -> Rekeyed:
    """Encrypt all stored values with the vault's present key. Raises as `open_ledger`.

    A SQLite file is compacted afterwards, because SQLite leaves overwritten values on the disk.
    """
    if not is_file(url):
        return await _rekey_server(postgres.locate(url, **access), vault, progress)
    store = sqlite.SqliteStore(_path(url), vault=vault)
    try:
        await store.read(_require_all_steps)
        done = await rekey(store, vault, progress)
        await store.compact()
        return done
    finally:
        await store.aclose()


async def _rekey_server(dsn: Dsn, vault: Vault, progress: Progress) -> Rekeyed:
    store = await _connect(dsn, vault)
    try:
        await store.write(partial(_check, dsn=dsn))
        return await rekey(store, vault, progress)
    finally:
        await store.aclose()


async def pending_steps(url: str, **access: Any) -> list[str]:
    """The steps that `migrate_ledger` would apply. Raises as `open_ledger`."""
    if is_file(url):
        return await _finish(sqlite.SqliteStore(_path(url)), steps.pending)
    dsn = postgres.locate(url, **access)
    return await _finish(await _connect(dsn), partial(_pending, dsn=dsn))


async def inspect_ledger(url: str, sources: Sequence[str], **access: Any) -> LedgerHealth:
    """How the ledger stands; it is neither made nor migrated. Raises as `open_ledger`.

    A file that a relay uses is Unusable: nobody else opens it.
    """
    look = partial(health.inspect, sources=sources)
    if not is_file(url):
        return await _finish(await _connect(postgres.locate(url, **access)), look)
    _require_file(Path(_path(url)))
    return await _finish(sqlite.SqliteStore(_path(url)), look)


def _require_file(path: Path) -> None:
    if not exists(path):
        raise Unopened(f"there is no file {path.absolute()} yet: `relay serve` makes it")


async def script_ledger(url: str, **access: Any) -> str:
    """The SQL that a database's owner runs instead of `migrate_ledger`, with the GRANTs that serving needs.

    It starts from the schema's present step, or from an empty schema when the server cannot be reached. Raises Unusable
    for SQLite and for a database that cannot hold a ledger.
    """
    if is_file(url):
        raise Unusable("ledger.url names a SQLite file, which Relay makes and migrates itself: there is no SQL to run")
    dsn = postgres.locate(url, **access)
    try:
        store = await _connect(dsn)
    except RelayError as error:
        return script.write(dsn, None, why=str(error))
    return await _finish(store, partial(script.draw, dsn=dsn))


def is_file(url: str) -> bool:
    """Whether the URL names a SQLite file and not PostgreSQL. Raises Unusable when it names neither."""
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


async def _finish(store: Store, step: Work[T]) -> T:
    """Run one transaction, then close the store."""
    try:
        return await store.write(step)
    finally:
        await store.aclose()


async def _connect(dsn: Dsn, vault: Vault = OPEN) -> postgres.PostgresStore:
    engine = postgres.make_engine(dsn, vault=vault)
    try:
        await postgres.reach(engine, dsn)
    except BaseException:
        await engine.dispose()
        for _ in range(_TURNS):  # `dispose` closes sockets by callbacks of the loop, which must still run
            await asyncio.sleep(0)
        raise
    return postgres.PostgresStore(engine)


async def _open_file(path: str, terms: Terms, vault: Vault) -> Store:
    store = sqlite.SqliteStore(path, vault=vault)
    try:
        await store.write(steps.upgrade)
        # The lock on the file proves that no other relay runs, so every lease belongs to a process that has ended.
        await store.write(partial(work.void, terms=terms))
    except Unavailable as error:
        await store.aclose()
        raise sqlite.unusable(path, str(error)) from None
    except BaseException:
        await store.aclose()
        raise
    return store


async def _open_server(dsn: Dsn, terms: Terms, vault: Vault, *, migrate: bool) -> postgres.PostgresStore:
    store = await _connect(dsn, vault)
    try:
        if migrate:
            await store.write(partial(_upgrade, dsn=dsn))
        await store.write(partial(_check, dsn=dsn))
        await store.write(partial(days.make, terms=terms))  # before today's first event, which shall have one
    except BaseException:
        await store.aclose()
        raise
    return store


def _upgrade(conn: Connection, now: int, *, dsn: Dsn) -> list[str]:
    """Migrate the schema, which is created if it is missing. Returns the steps that were applied. Raises Unusable."""
    # The lock comes before the checks: otherwise another replica may be creating what they report as missing.
    steps.lock(conn)
    role_rights = _look(conn, now, dsn)
    _accept(dsn, role_rights.misfit())
    if role_rights.schema is not None:
        _accept(dsn, None if role_rights.creates else role_rights.lack_of_rows(dsn.schema))
        if not steps.pending(conn):
            return []  # before the check of the privilege to create tables, which is not needed then
    _accept(dsn, role_rights.lack_of_making(dsn.schema))
    if role_rights.schema is None and dsn.schema is not None:
        steps.found(conn, dsn.schema)
    try:
        return steps.upgrade(conn, now)
    except DBAPIError as error:
        if not is_forbidden(error):
            raise
        todo = "let the owner of its tables run what `relay migrate --sql` prints"
        raise Unusable(f"ledger {dsn}: {describe(error)}: {todo}") from None


def _pending(conn: Connection, now: int, *, dsn: Dsn) -> list[str]:
    role_rights = _look(conn, now, dsn)
    _accept(dsn, role_rights.misfit())
    _accept(dsn, role_rights.lack_of_rows(dsn.schema) if role_rights.schema is not None else None)
    return steps.pending(conn)


def _check(conn: Connection, now: int, *, dsn: Dsn) -> None:
    """Raises Unusable unless the ledger can serve as it is."""
    role_rights = _look(conn, now, dsn)
    _accept(dsn, role_rights.misfit())
    _accept(dsn, role_rights.lack_of_rows(dsn.schema))
    _require_all_steps(conn, now)


def _require_all_steps(conn: Connection, _now: int) -> None:
    if pending := steps.pending(conn):
        raise Unusable(
            f"the ledger's schema lacks {len(pending)} step(s) ({', '.join(pending)}): run `relay migrate`, or serve "
            "with --migrate"
        )


def _look(conn: Connection, now: int, dsn: Dsn) -> rights.Rights:
    return rights.look(conn, now, requested=dsn.schema)


def _accept(dsn: Dsn, fault: str | None) -> None:
    if fault is not None:
        raise Unusable(f"ledger {dsn}: {fault}")
