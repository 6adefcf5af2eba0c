"""TLS to PostgreSQL with the meaning that libpq gives its parameters, and faults of the files that they name."""

import ssl
from pathlib import Path
from typing import Final

from relay.dsn import Dsn, Tls
from relay.ledger.engine.faults import Unusable
from relay.place import exists
from relay.trust import FileFault, inspect_authorities, inspect_identity, present

_WITHOUT_FILES: Final[dict[str, str | bool]] = {"disable": False, "allow": "allow", "prefer": "prefer"}


def secure(dsn: Dsn) -> ssl.SSLContext | str | bool:
    """The driver's argument `ssl`. Raises Unusable for files that cannot be used.

    Files that are not named are looked for as libpq does: `root.crt`, `postgresql.crt` and `postgresql.key` in
    `~/.postgresql`. Without a file of authorities, verify-full trusts the system's, where libpq refuses to connect.
    """
    tls = dsn.tls
    if tls.mode in _WITHOUT_FILES:
        return _WITHOUT_FILES[tls.mode]
    try:
        return _make_context(tls)
    except OSError as error:
        raise Unusable(f"ledger {dsn}: TLS cannot be set up ({error.strerror or error}): check its files") from None


def _make_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion[tls.least.replace(".", "_")]
    if tls.most is not None:
        context.maximum_version = ssl.TLSVersion[tls.most.replace(".", "_")]
    context.set_alpn_protocols(["postgresql"])
    _trust(context, tls)
    _present(context, tls)
    return context


def _trust(context: ssl.SSLContext, tls: Tls) -> None:
    root = tls.root or _find_default("root.crt")
    if root not in (None, "system"):
        _accept(inspect_authorities(str(root)))
        context.load_verify_locations(cafile=root)
    elif tls.mode == "verify-ca":
        raise Unusable("ledger.url has sslmode=verify-ca and no authorities: name them as ledger.ca_file")
    elif tls.mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return
    else:
        context.load_default_certs()
    context.check_hostname = tls.mode == "verify-full"
    if tls.crl is not None:
        _accept(inspect_revoked(tls.crl))
        context.load_verify_locations(cafile=tls.crl)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _present(context: ssl.SSLContext, tls: Tls) -> None:
    cert = tls.cert or _find_default("postgresql.crt")
    key = tls.key or _find_default("postgresql.key")
    if cert is not None and key is not None:
        _accept(inspect_identity(cert, key))
        present(context, cert, key)


def inspect_revoked(path: str) -> FileFault | None:
    """The fault of a certificate revocation list; None when it can be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:
        why = error.strerror or error
        return FileFault("url", f"has a sslcrl that cannot be used ({path}: {why}): name a PEM file of revocations")
    return None


def _accept(fault: FileFault | None) -> None:
    if fault is not None:
        raise Unusable(f"ledger.{fault.key}: {fault.message}")


def _find_default(name: str) -> str | None:
    try:
        path = Path.home() / ".postgresql" / name
    except RuntimeError:  # the user id has no entry in /etc/passwd, as in an image built from scratch
        return None
    return str(path) if exists(path) else None
