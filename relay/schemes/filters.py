"""The filters of phrases: bytes in, bytes out; `key` is the first secret."""

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

_HUBSPOT: Final = re.compile(rb"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def _hubspot(value: bytes, _key: bytes) -> bytes:
    """A URL with just the escapes undone that HubSpot's table names; everything else stays as it came.

    https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
    """
    return _HUBSPOT.sub(lambda match: bytes.fromhex(match[1].decode()), value)


def _uri(value: bytes, _key: bytes) -> bytes:
    """As JavaScript's encodeURI leaves it; what is escaped already stays so."""
    return quote(value, safe="%;,/?:@&=+$-_.!~*'()#").encode()


FILTERS: Final[Mapping[str, Callable[[bytes, bytes], bytes]]] = {
    "sha256": lambda value, _: hashlib.sha256(value).hexdigest().encode(),
    "crc32": lambda value, _: str(zlib.crc32(value)).encode(),
    "id15": lambda value, _: value[:15],  # Salesforce writes an id with 15 characters, or with 3 more to check it
    "lower": lambda value, _: value.lower(),
    "hubspot": _hubspot,
    "uri": _uri,
    "hmac_hex": lambda value, key: hmac.digest(key, value, "sha256").hex().encode(),
    "hmac_base64": lambda value, key: base64.b64encode(hmac.digest(key, value, "sha256")),
}
