"""Checks of what guards a relay: secrets that guard nothing, and connections that whoever is on the way can read."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from relay.config.draft import Draft
from relay.config.kinds import Unset
from relay.config.source import WebhookSource
from relay.config.tree import Leaf, Path, find, leaves
from relay.dsn import WEAK, DsnFault, parse
from relay.secret import SHORT, Secret

_PLACEHOLDER: Final = re.compile(r"replace[-_]with[-_]\S+", re.IGNORECASE)
"""What a file that ships with Relay, or with what copied from it, says in place of any value."""
_BLANK: Final = re.compile(r"replace[-_ ]with[-_ ].+|(replace|change)[-_ ]?me|<[^<>]+>", re.IGNORECASE)
"""What people write in place of a secret; elsewhere it may be meant."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_OURS: Final = frozenset({("http", "token")})
"""Secrets outside of sources that operators make up; the others are given to them, however long they are."""


_AROUND: Final = {
    "\n": "a line break",
    "\r": "a line break of Windows",
    "\t": "a tab",
    "\ufeff": "a byte order mark",
    **dict.fromkeys("\u200b\u200c\u200d\u2060", "an invisible character"),
}


def check_secrets(draft: Draft) -> None:
    """A placeholder is a fault: everybody can read it in the file that it comes from. A short secret can be guessed."""
    found = set()
    for path, secret in _secrets(draft):
        text = secret.reveal()
        if isinstance(secret, Unset) or not draft.whole(*path):
            continue
        if _BLANK.fullmatch(text.strip()):
            found.add(path)
            _refuse(draft, path, "placeholder that everybody can read")
        elif len(text) < SHORT and (path[0] == "sources" or path in _OURS):
            told = f"has {len(text)} characters, which can be guessed: take {SHORT} and more, random ones"
            draft.fault(path, told, warn=True)
    for path, leaf in leaves(draft.root):
        if path not in found and draft.whole(*path) and _PLACEHOLDER.fullmatch(str(leaf.value).strip()):
            _refuse(draft, path, "placeholder")


def _refuse(draft: Draft, path: Path, what: str) -> None:
    node = find(draft.root, path)
    given = " and ".join(node.filled.values()) if isinstance(node, Leaf) else ""
    where = f" in what {given} stands for" if given else ""
    draft.fault(path, f"is still the {what}: put the real value{where}")


def _secrets(draft: Draft) -> Iterator[tuple[Path, Secret]]:
    for name, block in draft.blocks.items():
        for key, value in block or ():
            if isinstance(value, Secret) and key != "proxy":
                yield (name, key), value
    for name, source in draft.sources.items():
        if isinstance(source, WebhookSource):
            if source.secret is not None:
                yield ("sources", name, "secret"), source.secret
            yield from ((("sources", name, "secrets", number), each) for number, each in enumerate(source.secrets))


def check_workspace(draft: Draft) -> None:
    """It goes out as a header with every call; whatever is no uuid is refused there, and looks like a bad token."""
    cargo = draft.blocks.get("cargo")
    if cargo is None or cargo.workspace_uuid is None or not _is_known(draft, "cargo", "workspace_uuid"):
        return
    if not _UUID.fullmatch(cargo.workspace_uuid) and not _PLACEHOLDER.fullmatch(cargo.workspace_uuid):
        told = "is not a uuid: copy it from Cargo, as 3c90c3cc-0d44-4b50-8888-8dd25736052a"
        draft.fault(("cargo", "workspace_uuid"), told)


def check_surroundings(draft: Draft) -> None:
    """A secret that was copied with what stood around it is another secret: whatever is signed with it is refused."""
    for path, secret in _every_secret(draft):
        if path[0] == "encrypt" or "-----BEGIN" in secret.reveal():
            continue  # these are read without what stands around them
        if not isinstance(secret, Unset) and draft.whole(*path) and (told := _surroundings(secret.reveal())):
            draft.fault(path, f"{told}, and is taken so: take it out, unless it belongs to the secret", warn=True)


def _surroundings(text: str) -> str | None:
    """What stands around a secret and mostly belongs to what it was copied from."""
    for sign, where in ((text[:1], "begins"), (text[-1:], "ends")):
        if sign in _AROUND or sign.isspace():
            return f"{where} with {_AROUND.get(sign, 'a blank')}"
    quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "\"'`"
    return "stands in quotes of its own" if quoted else None


def _every_secret(draft: Draft) -> Iterator[tuple[Path, Secret]]:
    """Each secret of each block and source; a part of a URL that was taken apart stands where the URL does."""
    holders: list[tuple[Path, Any]] = [((name,), block) for name, block in draft.blocks.items()]
    holders += [(("sources", name), source) for name, source in draft.sources.items()]
    for path, holder in holders:
        for key, value in holder or ():
            if isinstance(value, tuple):
                yield from (((*path, key, n), each) for n, each in enumerate(value) if isinstance(each, Secret))
            elif isinstance(value, Secret):
                yield (*path, key if find(draft.root, (*path, key)) is not None else "url"), value


def check_encryption(draft: Draft) -> None:
    """What goes beyond this machine without TLS."""
    _check_cargo(draft)
    _check_broker(draft)
    _check_ledger(draft)
    _check_address(draft)


def _check_cargo(draft: Draft) -> None:
    cargo = draft.blocks.get("cargo")
    if cargo is None or not _is_known(draft, "cargo", "base_url") or not _is_exposed(cargo.base_url, "http"):
        return
    told = "carries the token for everybody on the way"
    if not _is_known(draft, "cargo", "insecure") or cargo.insecure:
        draft.fault(("cargo", "base_url"), f"{told}, which cargo.insecure allows", warn=True)
    else:
        draft.fault(("cargo", "base_url"), f"{told}: write https://, or set cargo.insecure: true")


def _check_broker(draft: Draft) -> None:
    broker = draft.blocks.get("broker")
    if broker is None or not _is_known(draft, "broker", "url") or not _is_known(draft, "broker", "urls"):
        return
    if any(_is_exposed(url, "amqp") for url in (broker.url, *broker.urls)):
        told = "carries events, results and the password for everybody on the way: write amqps://"
        draft.fault(("broker", "urls" if broker.urls else "url"), told, warn=True)


def _check_ledger(draft: Draft) -> None:
    """Whether TLS is sure, by the connection string as the driver gets it."""
    ledger = draft.blocks.get("ledger")
    keys = ("url", "ca_file", "cert_file", "key_file")
    if ledger is None or not all(_is_known(draft, "ledger", key) for key in keys) or ledger.url.startswith("sqlite"):
        return
    try:
        dsn = parse(ledger.url).extend(
            ca_file=ledger.ca_file, cert_file=ledger.cert_file, key_file=ledger.key_file, schema=None
        )
    except DsnFault:
        return  # told by `check_database`
    if dsn.tls.mode in WEAK and not all(host.local or _is_here(host.name) for host in dsn.hosts):
        told = "asks for no TLS, or takes none as well: give ledger.ca_file, or ?sslmode=verify-full"
        draft.fault(("ledger", "url"), told, warn=True)


def _check_address(draft: Draft) -> None:
    http = draft.blocks.get("http")
    if http is None or http.public_url is None or not _is_known(draft, "http", "public_url"):
        return
    for told in _doubts(http.public_url):
        draft.fault(("http", "public_url"), told, warn=True)
    if _is_exposed(http.public_url, "http"):
        told = "has senders post events, and tokens, for everybody on the way: let a proxy do https://"
        draft.fault(("http", "public_url"), told, warn=True)


def _doubts(url: str) -> Iterator[str]:
    """What makes it another address than the one that senders call, and sign."""
    parts = urlsplit(url)
    base, hooks, _ = f"{parts.path}/".rpartition("/hooks/")
    if hooks:
        told = f"holds /hooks, which Relay adds itself, so that {url}/hooks/<source> is verified"
        yield f"{told}: write {parts.scheme}://{parts.netloc}{base}, unless senders call that"
    if parts.port is not None and parts.port == {"https": 443, "http": 80}[parts.scheme]:
        yield f"names the port that {parts.scheme} has anyway, which senders leave out of what they sign: leave it out"


def _is_known(draft: Draft, block: str, key: str) -> bool:
    return draft.whole(block, key) and not draft.opaque(block, key)


def _is_exposed(url: str, plain: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == plain and not _is_here(parts.hostname or "")


def _is_here(host: str) -> bool:
    """Whether it leads to this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
