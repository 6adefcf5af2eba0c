"""Checks the block `ledger` for PostgreSQL: its keys, the parameters of its URL, and the files that they name."""

from collections.abc import Iterator
from typing import Any, Final

from relay.config.draft import Draft
from relay.dsn import Dsn, DsnFault, parse
from relay.place import is_file
from relay.trust import FileFault, inspect_authorities, inspect_identity

_KEYS: Final = ("ca_file", "cert_file", "key_file", "schema")
_ONLY_POSTGRES: Final = ("cert_file", "key_file", "schema")
_NAME: Final = 63
_PARAMS: Final = {"ca_file": "sslrootcert", "cert_file": "sslcert", "key_file": "sslkey"}


def check_database(draft: Draft) -> None:
    """Add the faults of the block. Missing files are faults only in `serve`: `check` must work without them."""
    block = draft.blocks.get("ledger")
    if block is None or not _is_known(draft, "url"):
        return
    values = {key: getattr(block, key) for key in _KEYS if _is_known(draft, key) and getattr(block, key) is not None}
    if block.url.startswith("sqlite"):
        for key in _ONLY_POSTGRES:
            if key in values:
                draft.fault(
                    ("ledger", key), "has no effect with sqlite://: it is for PostgreSQL; leave it out", warn=True
                )
        return
    try:
        dsn = parse(block.url)
        for key, message in _over_long(dsn, values.get("schema")):
            draft.fault(("ledger", key), message)
        for note in dsn.notes:
            draft.fault(("ledger", "url"), note, warn=True)
        whole = all(_is_known(draft, key) for key in _KEYS)
        for fault in _look_at_files(dsn.extend(**values) if whole else dsn, block):
            draft.fault(("ledger", fault.key), fault.message, warn=fault.missing and not draft.strict)
    except DsnFault as fault:
        draft.fault(("ledger", fault.key), str(fault))


def _over_long(dsn: Dsn, schema: Any) -> Iterator[tuple[str, str]]:
    """Names that PostgreSQL would cut silently: NAMEDATALEN is 64 bytes, including the terminating zero."""
    for key, kind, name in (("url", "a database", dsn.database), ("url", "a user", dsn.user), ("schema", "", schema)):
        if name and (size := len(name.encode())) > _NAME:
            subject = f"names {kind} that has" if kind else "has"
            yield key, f"{subject} {size} bytes, and PostgreSQL cuts names after {_NAME}: write the shortened name"


def _is_known(draft: Draft, key: str) -> bool:
    return draft.whole("ledger", key) and not draft.opaque("ledger", key)


def _look_at_files(dsn: Dsn, block: Any) -> Iterator[FileFault]:
    tls = dsn.tls
    if tls.root not in (None, "system") and (fault := inspect_authorities(str(tls.root))):
        yield _aim(fault, block)
    if tls.cert is not None and tls.key is not None and (fault := inspect_identity(tls.cert, tls.key)):
        yield _aim(fault, block)
    for name, path in (("sslcrl", tls.crl), ("passfile", dsn.passfile)):
        if path is not None and not is_file(path):
            yield FileFault(
                "url", f"names a {name} that does not exist ({path}): mount it or correct the path", missing=True
            )


def _aim(fault: FileFault, block: Any) -> FileFault:
    """Assign the fault of a file to `url` when the URL names the file."""
    if getattr(block, fault.key) is not None:
        return fault
    return FileFault("url", f"has a {_PARAMS[fault.key]} that {fault.message}", fault.missing)
