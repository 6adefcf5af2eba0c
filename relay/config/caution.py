"""Checks of what guards a relay: secrets that guard nothing, and connections that whoever is on the way can read."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from relay.config.draft import Draft
from relay.config.kinds import Unset
from relay.config.source import WebhookSource
from relay.config.tree import Path
from relay.secret import SHORT, Secret

_PLACEHOLDER: Final = re.compile(r"replace[-_ ]with[-_ ].+|(replace|change)[-_ ]?me|<[^<>]+>", re.IGNORECASE)
_TLS: Final = frozenset({"require", "verify-ca", "verify-full"})
_OURS: Final = frozenset({("http", "token")})
"""Secrets outside of sources that operators make up; the others are given to them, however long they are."""


def check_secrets(draft: Draft) -> None:
    """A placeholder is a fault: everybody can read it in the file that it comes from. A short secret can be guessed."""
    for path, secret in _secrets(draft):
        text = secret.reveal()
        if isinstance(secret, Unset) or not draft.whole(*path):
            continue
        if _PLACEHOLDER.fullmatch(text.strip()):
            draft.fault(path, "is still the placeholder that everybody can read: replace it with the real one")
        elif len(text) < SHORT and (path[0] == "sources" or path in _OURS):
            told = f"has {len(text)} characters, which can be guessed: take {SHORT} and more, random ones"
            draft.fault(path, told, warn=True)


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


def check_encryption(draft: Draft) -> None:
    """What goes beyond this machine without TLS."""
    _check_cargo(draft)
    for block, key, told in (
        ("broker", "url", "carries events, results and the password for everybody on the way: write amqps://"),
        ("ledger", "url", "asks for no TLS, or takes none as well: give ledger.ca_file, or ?sslmode=verify-full"),
        (
            "http",
            "public_url",
            "has senders post events, and tokens, for everybody on the way: let a proxy do https://",
        ),
    ):
        values = draft.blocks.get(block)
        url = getattr(values, key, None)
        known = url is not None and draft.whole(block, key) and not draft.opaque(block, key)
        if known and _is_plain(str(url), values) and not _is_here(str(url)):
            draft.fault((block, key), told, warn=True)


def _check_cargo(draft: Draft) -> None:
    cargo = draft.blocks.get("cargo")
    if cargo is None or not draft.whole("cargo", "base_url") or draft.opaque("cargo", "base_url"):
        return
    if not cargo.base_url.startswith("http://") or _is_here(cargo.base_url):
        return
    told = "carries the token for everybody on the way"
    if not cargo.insecure:
        draft.fault(("cargo", "base_url"), f"{told}: write https://, or set cargo.insecure: true")
    else:
        draft.fault(("cargo", "base_url"), f"{told}, which cargo.insecure allows", warn=True)


def _is_plain(url: str, block: Any) -> bool:
    scheme = urlsplit(url).scheme
    if scheme == "postgresql":
        modes = parse_qs(urlsplit(url).query).get("sslmode", [])
        return block.ca_file is None and not _TLS.intersection(modes)
    return scheme in {"http", "amqp"}


def _is_here(url: str) -> bool:
    """Whether it leads to this machine only."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
