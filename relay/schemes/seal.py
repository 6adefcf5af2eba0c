"""The form of the data that describes a vendor's signature; `signed` is the code that follows it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where the time of signing stands: a header of its own, or a part of the signature's that begins with `prefix`.

    `unit` is how the vendor writes it; any of the units is understood.
    """

    header: str
    unit: Literal["seconds", "milliseconds", "rfc3339"] = "seconds"
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """One HMAC over a composed string.

    The header holds `prefix` and the signature, several of them where there is a `separator` (parts with another
    prefix are passed over: other versions). `content` is in the language of `phrase`. `key` says what the secret
    is: text taken as UTF-8 bytes, or Standard Webhooks' `whsec_` and base64.
    """

    header: str
    content: str = "{{ body }}"
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    separator: str | None = None
    stamp: Stamp | None = None
    key: Literal["text", "whsec"] = "text"


@dataclass(frozen=True, slots=True)
class Places:
    """Where an event's fields stand, in the language of `phrase`: of several the first that is there."""

    id: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    time: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. Of several seals, which have the same strength, the first whose header came is the one that counts.

    `id_header` and `type_header` are what the vendor sends beside the signature; `facts` are the pages that say so.
    """

    seals: tuple[Seal, ...]
    places: Places
    facts: tuple[str, ...]
    id_header: str | None = None
    type_header: str | None = None
