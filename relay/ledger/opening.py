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
from relay.ledger.rekey import Progress, Rekeyed, rekey
from relay.ledger.terms import Terms
from relay.ledger.vault import OPEN, Vault
from relay.secret import Secret

_SQLITE: Final = "sqlite:///"


async def open_ledger(
    url: str,
    terms: Terms,
    *,
    password: Secret | None = None,
    ca_file: str | None = None,
    vault: Vault = OPEN,
    migrate: bool = False,
) -> SqlLedger:
    """Open `sqlite:///relay.db` (migrates by itself) or `postgresql://user@host:5432/relay`.

    Raises Unusable with what to do when a person must act (a file that is no database, in use, read-only; a refused
    login; pending steps on PostgreSQL without `migrate`), Unavailable while the server is away.
    """
    if is_file(url):
        return SqlLedger(await _open_file(_path(url), terms, vault), terms)
    return SqlLedger(await _open_server(url, password, ca_file, vault, migrate=migrate), terms)


async def migrate_ledger(url: str, *, password: Secret | None = None, ca_file: str | None = None) -> list[str]:
    """Bring the schema up to date; gives the steps that were applied. Raises as `open_ledger`."""
    store = await _connect(url, password, ca_file)
    try:
        return await store.write(steps.upgrade)
    finally:
        await store.aclose()


async def rekey_ledger(
    url: str,
    vault: Vault,
    progress: Progress,
    *,
    password: Secret | None = None,
    ca_file: str | None = None,
) -> Rekeyed:
    """Bring all that is kept under the vault's present key. Raises as `open_ledger`.

    A file is compacted afterwards, because SQLite leaves what it has overwritten on the disk.
    """
    store = await _connect(url, password, ca_file, vault)
    try:
        await _require_all_steps(store)
        done = await rekey(store, vault, progress)
        if isinstance(store, sqlite.SqliteStore):
            await store.compact()
        return done
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


async def _connect(url: str, password: Secret | None, ca_file: str | None, vault: Vault = OPEN) -> Store:
    if is_file(url):
        return sqlite.SqliteStore(_path(url), vault=vault)
    server = url.replace("postgres://", "postgresql://", 1)
    engine = postgres.connect(server, password=password, ca_file=ca_file, vault=vault)
    try:
        await postgres.reach(engine)
    except RelayError:
        await engine.dispose()
        raise
    return postgres.PostgresStore(engine)


async def _open_file(path: str, terms: Terms, vault: Vault) -> Store:
    store = sqlite.SqliteStore(path, vault=vault)
    try:
        await store.write(steps.upgrade)
        await store.write(partial(work.void, terms=terms))
    except Unavailable as error:
        await store.aclose()
        raise sqlite.unusable(path, str(error)) from None
    except RelayError:
        await store.aclose()
        raise
    return store


async def _open_server(url: str, password: Secret | None, ca_file: str | None, vault: Vault, *, migrate: bool) -> Store:
    store = await _connect(url, password, ca_file, vault)
    try:
        if migrate:
            await store.write(steps.upgrade)
        await _require_all_steps(store)
    except RelayError:
        await store.aclose()
        raise
    return store


async def _require_all_steps(store: Store) -> None:
    if left := await store.read(steps.pending):
        raise Unusable(
            f"the ledger's schema lacks {len(left)} step(s) ({', '.join(left)}): run `relay migrate`, or serve "
            "with --migrate"
        )
