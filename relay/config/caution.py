"""Checks for weak security: secrets that protect nothing, and connections without TLS."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from relay.config.draft import Draft
from relay.config.source import WebhookSource
from relay.config.tree import Leaf, Path, find, leaves, text_of
from relay.dsn import WEAK, DsnFault, parse
from relay.secret import SHORT, Secret
from relay.written.kinds import Unset

_PLACEHOLDER: Final = re.compile(r"replace[-_]with[-_]\S+", re.IGNORECASE)
"""The placeholders for any kind of value in the files that ship with Relay."""
_BLANK: Final = re.compile(r"replace[-_ ]with[-_ ].+|(replace|change)[-_ ]?me|<[^<>]+>", re.IGNORECASE)
"""Common placeholders for secrets. In other values they may be intended."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CHOSEN: Final = frozenset({("http", "token")})
"""Secrets outside of sources that operators choose. The length of other secrets is chosen by their issuers."""


_AROUND: Final = {
    "\n": "a line break",
    "\r": "a line break of Windows",
    "\t": "a tab",
    "\ufeff": "a byte order mark",
    **dict.fromkeys("\u200b\u200c\u200d\u2060", "an invisible character"),
}


def check_secrets(draft: Draft) -> None:
    """Add a fault for each placeholder, which anybody can read in Relay's files, and a warning for short secrets."""
    placeholders = set()
    for path, secret in _secrets(draft):
        text = secret.reveal()
        if isinstance(secret, Unset) or not draft.whole(*path):
            continue
        if _BLANK.fullmatch(text.strip()):
            placeholders.add(path)
            _refuse(draft, path, "placeholder from Relay's files, which anybody can read")
        elif len(text) < SHORT and (path[0] == "sources" or path in _CHOSEN):
            message = f"has only {len(text)} characters and can be guessed: use {SHORT} or more random characters"
            draft.fault(path, message, warn=True)
    if _PLACEHOLDER.search(text_of(draft.root)):
        for path, leaf in leaves(draft.root):
            if _is_placeholder(leaf) and path not in placeholders and draft.whole(*path):
                _refuse(draft, path, "placeholder")


def _is_placeholder(leaf: Leaf) -> bool:
    return isinstance(leaf.value, str) and _PLACEHOLDER.fullmatch(leaf.value.strip()) is not None


def _refuse(draft: Draft, path: Path, placeholder: str) -> None:
    node = find(draft.root, path)
    references = " and ".join(node.filled.values()) if isinstance(node, Leaf) else ""
    where = f" into {references}" if references else ""
    draft.fault(path, f"is still the {placeholder}: put the real value{where or ' here'}")


def _secrets(draft: Draft) -> Iterator[tuple[Path, Secret]]:
    for name, block in draft.blocks.items():
        for key, value in block or ():
            if isinstance(value, Secret) and key != "proxy":
                yield (name, key), value
    http = draft.blocks.get("http")
    for holder, entry in (http.tokens if http is not None else {}).items():
        yield ("http", "tokens", holder, "token"), entry.token
    for name, source in draft.sources.items():
        if isinstance(source, WebhookSource):
            if source.secret is not None:
                yield ("sources", name, "secret"), source.secret
            yield from ((("sources", name, "secrets", number), secret) for number, secret in enumerate(source.secrets))


def check_workspace(draft: Draft) -> None:
    """Add a fault for a workspace that is not a uuid: Cargo would refuse it in a way that looks like a bad token."""
    cargo = draft.blocks.get("cargo")
    if cargo is None or cargo.workspace_uuid is None or not _is_known(draft, "cargo", "workspace_uuid"):
        return
    if not _UUID.fullmatch(cargo.workspace_uuid) and not _PLACEHOLDER.fullmatch(cargo.workspace_uuid):
        message = "is not a uuid: copy it from Cargo, for example 3c90c3cc-0d44-4b50-8888-8dd25736052a"
        draft.fault(("cargo", "workspace_uuid"), message)


def check_surroundings(draft: Draft) -> None:
    """Warn of secrets that were copied with quotes or blanks: signatures with the real secret would fail."""
    for path, secret in _every_secret(draft):
        if path[0] == "encrypt" or "-----BEGIN" in secret.reveal():
            continue  # blanks around keys and PEM texts are ignored
        if not isinstance(secret, Unset) and draft.whole(*path) and (surroundings := _surroundings(secret.reveal())):
            message = f"{surroundings}, which counts as part of it: remove it, unless it belongs to the secret"
            draft.fault(path, message, warn=True)


def _surroundings(text: str) -> str | None:
    """Describe the characters around a secret that usually come from copying it; None when there are none."""
    for sign, where in ((text[:1], "begins"), (text[-1:], "ends")):
        if sign in _AROUND or sign.isspace():
            return f"{where} with {_AROUND.get(sign, 'a blank')}"
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`"
    return "is in quotes" if quoted else None


def _every_secret(draft: Draft) -> Iterator[tuple[Path, Secret]]:
    """The secrets of all blocks and sources. The path of a password from a URL is that of the URL."""
    holders: list[tuple[Path, Any]] = [((name,), block) for name, block in draft.blocks.items()]
    holders += [(("sources", name), source) for name, source in draft.sources.items()]
    for path, holder in holders:
        for key, value in holder or ():
            if isinstance(value, tuple):
                yield from (((*path, key, n), item) for n, item in enumerate(value) if isinstance(item, Secret))
            elif isinstance(value, Secret):
                yield (*path, key if find(draft.root, (*path, key)) is not None else "url"), value


def check_encryption(draft: Draft) -> None:
    """Add faults and warnings for connections that leave this machine without TLS."""
    _check_cargo(draft)
    _check_broker(draft)
    _check_ledger(draft)
    _check_address(draft)


def _check_cargo(draft: Draft) -> None:
    cargo = draft.blocks.get("cargo")
    if cargo is None or not _is_known(draft, "cargo", "base_url") or not _is_exposed(cargo.base_url, "http"):
        return
    message = "sends the token unencrypted"
    if not _is_known(draft, "cargo", "insecure") or cargo.insecure:
        draft.fault(("cargo", "base_url"), f"{message}, which cargo.insecure allows", warn=True)
    else:
        draft.fault(("cargo", "base_url"), f"{message}: write https://, or set cargo.insecure: true")


def _check_broker(draft: Draft) -> None:
    broker = draft.blocks.get("broker")
    if broker is None or not _is_known(draft, "broker", "url") or not _is_known(draft, "broker", "urls"):
        return
    if any(_is_exposed(url, "amqp") for url in (broker.url, *broker.urls)):
        message = "sends events, results and the password unencrypted: write amqps://"
        draft.fault(("broker", "urls" if broker.urls else "url"), message, warn=True)


def _check_ledger(draft: Draft) -> None:
    """Warn when the connection string, as the driver gets it, does not enforce TLS."""
    ledger = draft.blocks.get("ledger")
    keys = ("url", "ca_file", "cert_file", "key_file")
    if ledger is None or not all(_is_known(draft, "ledger", key) for key in keys) or ledger.url.startswith("sqlite"):
        return
    try:
        dsn = parse(ledger.url).extend(
            ca_file=ledger.ca_file, cert_file=ledger.cert_file, key_file=ledger.key_file, schema=None
        )
    except DsnFault:
        return  # `check_database` reports it
    if dsn.tls.mode in WEAK and not all(host.local or _is_here(host.name) for host in dsn.hosts):
        message = "does not enforce TLS: set ledger.ca_file, or add ?sslmode=verify-full"
        draft.fault(("ledger", "url"), message, warn=True)


def _check_address(draft: Draft) -> None:
    http = draft.blocks.get("http")
    if http is None or http.public_url is None or not _is_known(draft, "http", "public_url"):
        return
    for doubt in _doubts(http.public_url):
        draft.fault(("http", "public_url"), doubt, warn=True)
    if _is_exposed(http.public_url, "http"):
        message = "makes senders post events and tokens unencrypted: let a proxy serve https://"
        draft.fault(("http", "public_url"), message, warn=True)


def _doubts(url: str) -> Iterator[str]:
    """Reasons why senders may call, and sign, another URL than this one."""
    parts = urlsplit(url)
    base, hooks, _ = f"{parts.path}/".rpartition("/hooks/")
    if hooks:
        consequence = f"contains /hooks, which Relay adds itself, so that it verifies {url}/hooks/<source>"
        yield f"{consequence}: write {parts.scheme}://{parts.netloc}{base}, unless senders call that"
    if parts.port is not None and parts.port == {"https": 443, "http": 80}[parts.scheme]:
        yield f"contains the default port of {parts.scheme}, which senders leave out of what they sign: leave it out"


def _is_known(draft: Draft, block: str, key: str) -> bool:
    return draft.whole(block, key) and not draft.opaque(block, key)


def _is_exposed(url: str, plain: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == plain and not _is_here(parts.hostname or "")


def _is_here(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
