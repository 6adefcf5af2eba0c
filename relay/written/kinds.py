"""The types of values in the configuration, parsed from the operators' notation.

Validators raise a ValueError that says what is right, and never quote a secret. An `Opaque` value (a variable that is
not set, in `check`) is replaced by the key's default.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticUseDefault

from relay import listener, units
from relay.secret import Secret, key_bytes
from relay.written.reference import Filled, Loose, Opaque
from relay.written.scalar import meaning

LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""The pattern of a name."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_REFERENCE: Final = {"type": "string", "pattern": r"\$\{"}
NIL: Final = "00000000-0000-0000-0000-000000000000"
_MASK: Final = "********"


class Unset(Secret):
    """The placeholder for a secret whose variable is not set, in `check`. It never verifies anything."""

    __slots__ = ()


def settle(value: Any) -> Any:
    """A value of any type, with the scalars in it typed by YAML's rules.

    A scalar that could not be filled becomes its text in the file, or the nil uuid under a key that ends in `Uuid`.
    """
    if isinstance(value, str):
        return meaning(str(value)) if isinstance(value, Loose) else str(value)
    if isinstance(value, dict):
        return {key: NIL if _is_unknown_uuid(key, item) else settle(item) for key, item in value.items()}
    return [settle(item) for item in value] if isinstance(value, list | tuple) else value


def _is_unknown_uuid(key: Any, value: Any) -> bool:
    return isinstance(value, Opaque) and str(key).endswith("Uuid")


def typed(value: Any) -> Any:
    if isinstance(value, Opaque):
        raise PydanticUseDefault
    return meaning(str(value)) if isinstance(value, Filled) else value


def _known(value: Any) -> Any:
    if isinstance(value, Opaque):
        raise PydanticUseDefault
    return value


def _parsed(convert: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if isinstance(value, Opaque):
            raise PydanticUseDefault
        if isinstance(value, bool | None) or not isinstance(value, str | int | float):
            raise ValueError(f"must be text, for example {example}")  # noqa: TRY004 - pydantic takes ValueError
        return convert(str(value))

    return parse


def _duration(text: str) -> int:
    milliseconds = units.duration(text)
    if milliseconds > units.duration("3650d"):
        raise ValueError("is longer than ten years: write a shorter duration")
    if milliseconds == 0:
        raise ValueError("is zero: write a duration above zero, for example 1s")
    return milliseconds


def _size(text: str) -> int:
    size = units.size(text)
    if size == 0:
        raise ValueError("is zero: write a size above zero, for example 64KiB")
    return size


def _shown(milliseconds: int) -> str:
    for unit, length in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds and milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        wide = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network: write for example 10.0.0.0/8 or fd00::/8") from None
    if "/" in text and str(ipaddress.ip_interface(text).ip) != str(wide.network_address):
        raise ValueError(f"{text!r} has bits set beyond its prefix: write {wide}")
    mapped = getattr(wide.network_address, "ipv4_mapped", None)
    return ipaddress.IPv4Network((mapped, wide.prefixlen - 96)) if mapped and wide.prefixlen >= 96 else wide


def label(value: str) -> str:
    """The value, if it is an RFC 1123 label. Raises ValueError."""
    if not re.fullmatch(LABEL, value):
        raise ValueError(f"{value!r} is not a name: use at most 63 lower-case letters, digits and dashes")
    return value


def _text(value: Any) -> Any:
    if isinstance(value, str):
        if not value:
            raise ValueError("is empty: give it a value or leave the key out")
        if _CONTROL.search(value):
            raise ValueError("contains a control character or a line break: remove it")
        return str(value)
    return value


def _pem(value: Any) -> Any:
    if isinstance(value, str) and "-----BEGIN CERTIFICATE-----" not in value:
        raise ValueError("is not a certificate in PEM: name its file, for example ${file:vendor.pem}")
    return str(value) if isinstance(value, str) else value


def _secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text: put it in quotes")  # noqa: TRY004 - pydantic takes ValueError
    if not value.strip():
        raise ValueError("is empty, and an empty secret protects nothing: set its value")
    return Unset(str(value)) if isinstance(value, Opaque) else Secret(str(value))


def _token(value: Any) -> Secret:
    secret = _secret(value)
    if not secret.reveal().isascii() or not secret.reveal().isprintable() or " " in secret.reveal():
        raise ValueError("contains a character that an HTTP header cannot carry: check for blanks and line breaks")
    return secret


def _key(value: Any) -> Secret:
    secret = _secret(value)
    if not isinstance(secret, Unset):
        key_bytes(secret.reveal())
    return secret


def listed(value: Any) -> Any:
    """Turn a text into a list of one. Raises ValueError for an empty list, which would silently have no effect."""
    if value == [] and isinstance(value, list):
        raise ValueError("is an empty list: write at least one item, or leave the key out")
    return _listed(value)


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _rows(value: Any) -> Any:
    if isinstance(value, list) and any(isinstance(item, Opaque) for item in value):
        raise PydanticUseDefault
    return _listed(value)


def _written(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": rf"^({pattern})$|\$\{{", "examples": list(examples)})


_SECRET_SCHEMA: Final = WithJsonSchema({"type": "string", "minLength": 1})
_masked: Final = PlainSerializer(lambda _: _MASK, return_type=str)

Duration = Annotated[
    int,
    BeforeValidator(_parsed(_duration, "30s")),
    PlainSerializer(_shown, return_type=str),
    _written(r"\d+(\.\d+)?(ms|s|m|h|d)", "250ms", "30s", "5m", "24h", "30d"),
]
"""Milliseconds."""

Size = Annotated[int, BeforeValidator(_parsed(_size, "1MiB")), _written(r"\d+(B|KiB|MiB|GiB)?", "1MiB")]
"""Bytes."""

Pace = Annotated[
    units.Rate,
    PlainValidator(_parsed(units.rate, "50/s")),
    PlainSerializer(str, return_type=str),
    _written(r"\d+/\d*(s|m|h|d|mo)", "20/s", "600/m", "9000/mo", "5/10m"),
]
QuotaText = Annotated[
    units.Quota,
    PlainValidator(_parsed(units.quota, "500/d")),
    PlainSerializer(str, return_type=str),
    _written(r"\d+/(h|d|mo)", "20/h", "500/d", "9000/mo"),
]
ShareText = Annotated[
    units.Share,
    PlainValidator(_parsed(units.share, "10%")),
    PlainSerializer(str, return_type=str),
    _written(r"\d{1,3}(\.\d{1,6})? ?%", "10%", "0.5%"),
]
Address = Annotated[
    listener.Listener,
    PlainValidator(_parsed(listener.read, "127.0.0.1:8081")),
    PlainSerializer(str, return_type=str),
    _written(r".*:\d{1,5}", ":8080", "127.0.0.1:8081", "[::1]:8081"),
]
Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    PlainValidator(_parsed(_network, "10.0.0.0/8")),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]}),
]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_rows)]
Count = Annotated[
    int,
    BeforeValidator(typed),
    Field(strict=True, ge=1, le=1_000_000_000),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, _REFERENCE]}),
]
Flag = Annotated[
    bool,
    BeforeValidator(typed),
    Field(strict=True),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _REFERENCE]}),
]
Text = Annotated[str, Field(strict=True, min_length=1), BeforeValidator(_text)]
PemText = Annotated[str, Field(strict=True), BeforeValidator(_pem), BeforeValidator(_known)]
"""A certificate in PEM, with its line breaks."""

Label = Annotated[
    str, Field(strict=True), AfterValidator(label), WithJsonSchema({"type": "string", "pattern": f"^{LABEL}$"})
]
"""An RFC 1123 label, which is valid in a URL, a routing key and a Kubernetes label."""

Jinja = Annotated[str, Field(strict=True)]
"""A template. It may have line breaks."""

Condition = Annotated[str, Field(strict=True), BeforeValidator(_known)]
"""A Jinja expression without braces. One that could not be filled is ignored."""

TEXTS_SCHEMA: Final = WithJsonSchema(
    {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
Texts = Annotated[tuple[Text, ...], BeforeValidator(listed), TEXTS_SCHEMA]
SecretText = Annotated[Secret, PlainValidator(_secret), _masked, _SECRET_SCHEMA]
Token = Annotated[Secret, PlainValidator(_token), _masked, _SECRET_SCHEMA]
KeyText = Annotated[Secret, PlainValidator(_key), _masked, _SECRET_SCHEMA]
"""A 256-bit key in base64 or hex."""
Keys = Annotated[tuple[KeyText, ...], BeforeValidator(_listed)]
Secrets = Annotated[tuple[SecretText, ...], BeforeValidator(listed)]
Free = Annotated[dict[str, Any], BeforeValidator(settle)]
