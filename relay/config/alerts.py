"""The block `alerts`: who is told of problems."""

from base64 import b64decode
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from relay.secret import Secret
from relay.written.block import Block, default
from relay.written.kinds import Duration, SecretText, Unset, listed
from relay.written.reference import Opaque

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 16
_EXAMPLE: Final = "https://alerts.example.com/relay"
_URL_SCHEMA: Final[JsonSchemaValue] = {"type": "string", "minLength": 1, "examples": [_EXAMPLE]}


def _signing(secret: Secret) -> Secret:
    """A secret of Standard Webhooks. Raises ValueError."""
    if isinstance(secret, Unset):
        return secret
    try:
        key = b64decode(secret.reveal().removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if len(key) < _SHORTEST:
        raise ValueError(
            f"is not a secret of Standard Webhooks: write {_PREFIX} and at least {_SHORTEST} random bytes in base64, "
            f"for example the output of: echo {_PREFIX}$(openssl rand -base64 32)"
        )
    return secret


def _url(value: Any) -> Secret:
    """The URL of a receiver, as a secret: that of a chat tool is its credential. Raises ValueError."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be text, for example {_EXAMPLE}")  # noqa: TRY004 - pydantic takes ValueError
    if isinstance(value, Opaque):
        return Unset(str(value))
    try:
        parts = urlsplit(value)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError(f"is not a URL with https:// and a host: write for example {_EXAMPLE}")
    return Secret(str(value))


AlertUrls = Annotated[
    tuple[
        Annotated[
            Secret, PlainValidator(_url), PlainSerializer(str, return_type=str), WithJsonSchema(dict(_URL_SCHEMA))
        ],
        ...,
    ],
    BeforeValidator(listed),
    WithJsonSchema({"anyOf": [_URL_SCHEMA, {"type": "array", "items": _URL_SCHEMA, "minItems": 1}]}),
]
SigningSecret = Annotated[SecretText, AfterValidator(_signing)]


class AlertsBlock(Block):
    """Who is told of problems, and how long a dispatch may wait."""

    url: AlertUrls | None = default(None)
    """Where problems are posted, as Standard Webhooks: one URL or several; it is treated as a secret."""
    secret: SigningSecret | None = default(None)
    """The secret that signs what is posted: whsec_ and base64; default: it is not signed."""
    backlog: Duration = default("5m")
    """How long the oldest due dispatch may wait before that is a problem."""

    @property
    def urls(self) -> tuple[Secret, ...]:
        """The URLs of all receivers."""
        return self.url or ()
