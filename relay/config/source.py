"""Sources as the file has them: webhooks and RabbitMQ queues."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from relay import schemes
from relay.config.block import Block, default, fault
from relay.config.kinds import (
    Count,
    Duration,
    Flag,
    Jinja,
    Networks,
    Pace,
    PemText,
    Secrets,
    SecretText,
    Size,
    Text,
    Texts,
    Unset,
)
from relay.config.wire import BodySize, HeaderName, Name, Names, Prefetch, Replies
from relay.secret import Secret

_BOUNDS: Final = frozenset({"limit", "allow", "client_cert", "max_body", "max_in_flight", "retain"})
_OWN: Final = frozenset({"type", "scheme", "secret", "secrets", "event", "keep_rejected"}) | _BOUNDS


class EventTemplates(Block):
    """Where an event's fields stand when the sender does not say it in a known way; over `data`, `headers`, `vars`."""

    id: Jinja | None = default(None)
    """The sender's id, the same when it sends the event again."""
    type: Jinja | None = default(None)
    """The event's type, by which rules choose."""
    subject: Jinja | None = default(None)
    """What the event is about."""
    time: Jinja | None = default(None)
    """When it happened: ISO 8601, or seconds or milliseconds since 1970."""

    def texts(self) -> dict[str, str]:
        """The templates that are given, by field."""
        return {name: text for name, text in self if text is not None}


class Limit(Block):
    """How many requests of a source are taken."""

    rate: Pace
    """Requests that prove themselves, per replica; beyond it 429 with Retry-After, unless all in them is known."""
    burst: Count | None = default(None)
    """How many at once; the rate's count when left out."""


class ClientCert(Block):
    """The client certificate that a proxy in http.trusted_proxies has verified, and names in a header."""

    header: HeaderName
    """The header with the subject, which the proxy sets itself: X-SSL-Client-S-DN, X-Forwarded-Client-Cert, ..."""
    subject: Texts
    """The subjects that may send, as the proxy writes them."""


class WebhookSource(Block):
    """`POST /hooks/<name>`. The keys after `event` belong to some schemes only."""

    type: Literal["webhook"]
    """Webhook in."""
    scheme: Text
    """How the sender proves itself."""
    secret: SecretText | None = default(None)
    """The secret shared with the sender."""
    secrets: Secrets = default(())
    """Several live secrets, for rotation, in place of `secret`."""
    event: EventTemplates = Field(default_factory=EventTemplates)
    """Templates for the event's id, type, subject and time."""
    header: Text | None = default(None)
    """hmac: the header with the signature. Tokens: the header with the token, Authorization when left out."""
    algorithm: Text | None = default(None)
    """hmac: sha1, sha256 or sha512."""
    encoding: Text | None = default(None)
    """hmac: hex or base64."""
    prefix: Text | None = default(None)
    """hmac: what stands before the signature in its header, as `sha256=`."""
    separator: Text | None = default(None)
    """hmac: what stands between several signatures in the header."""
    content: Jinja | None = default(None)
    """hmac: what is signed, of body, timestamp, method, url and header values."""
    key: Text | None = default(None)
    """hmac: what the secret is: text, hex or base64."""
    timestamp_header: Text | None = default(None)
    """hmac: the header with the time of signing."""
    tolerance: Duration | None = default(None)
    """How far the time of signing may be from now."""
    username: Text | None = default(None)
    """basic: the user's name; the secret is the password, or `user:password` without this key."""
    query: Text | None = default(None)
    """Tokens in the URL: the parameter's name."""
    versions: Texts | None = default(None)
    """A vendor's bare name: which of its schemes are taken, as hubspot-v3; the strongest when left out."""
    verify_token: SecretText | None = default(None)
    """The token that the vendor shows in its handshake."""
    webhook_id: Text | None = default(None)
    """The webhook's id at the vendor's, which its signature covers."""
    cert_pem: PemText | None = default(None)
    """The vendor's certificate in PEM, in place of the one that a request names."""
    organization_id: Text | None = default(None)
    """The organization whose messages are taken."""
    topics: Texts | None = default(None)
    """The topics whose messages are taken."""
    origins: Texts | None = default(None)
    """The origins that may send, as they name themselves."""
    xml_lists: Texts | None = default(None)
    """The XML elements that are lists however many there are."""
    cut: Texts | None = default(None)
    """Paths of credentials in the body, taken out before it is kept, as data.session.token."""
    cloudevents: Flag | None = default(None)
    """Whether CloudEvents are read, where that is not the scheme's own way."""
    replay: Literal["refuse", "type", "allow"] | None = default(None)
    """What the very same signed body under another id is: refuse (a duplicate), type (another event if its type is
    another), allow (another event); left out: as the sender's entry has it."""
    batch: Flag | None = default(None)
    """segment: whether lists are taken, of which only the first item is signed."""
    keep_rejected: Duration | None = default(None)
    """How long bodies of refused requests are kept for `relay readmit`; left out: not at all."""

    limit: Limit | None = default(None)
    """How many requests are taken."""
    allow: Networks = default(())
    """Networks that may send; left out: any. Behind a proxy it takes http.trusted_proxies."""
    client_cert: ClientCert | None = default(None)
    """The client certificate that a sender must have shown to a trusted proxy."""
    max_body: BodySize | None = default(None)
    """The largest body, inflated; left out: http.max_body."""
    max_in_flight: Size | None = default(None)
    """What came to this source and is not answered yet; beyond it 503."""
    retain: Duration | None = default(None)
    """Finished events of this source are pruned after this; left out: ledger.retain."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.secret is not None and self.secrets:
            raise fault("secrets", "stands beside `secret`: keep one of them")
        return self

    @property
    def live(self) -> tuple[Secret, ...]:
        """Every secret that is accepted."""
        return self.secrets or ((self.secret,) if self.secret is not None else ())

    @property
    def unset(self) -> bool:
        """Whether a secret stands for a variable or a file that is not here."""
        return any(isinstance(secret, Unset) for secret in self.live)

    def options(self) -> dict[str, Any]:
        """The scheme's own keys that are given; durations in milliseconds."""
        return {key: getattr(self, key) for key in self.model_fields_set - _OWN if getattr(self, key) is not None}

    def spec(self) -> schemes.SchemeSpec:
        """What `relay.schemes.build` wants.

        A secret that is not set, under `check`, gives way to one of a form that the scheme takes.
        """
        told = schemes.SchemeSpec(self.scheme, self.live, self.options())
        if self.scheme not in schemes.names() or not self.unset:
            return told
        made = schemes.example(self.scheme).secret
        return replace(told, secrets=(Secret(made),) if made else self.live)


class Bind(Block):
    """Binds the queue to an exchange that is there already."""

    exchange: Name
    """The exchange's name."""
    routing_keys: Names = default(("#",))
    """Binding keys; # is any."""


class AmqpSource(Block):
    """One RabbitMQ queue."""

    type: Literal["amqp"]
    """RabbitMQ in."""
    queue: Name
    """The queue's name; it is used as it is when it exists."""
    prefetch: Prefetch = default(100)
    """Messages that may be unacknowledged at once."""
    max_message: Size = default("1MiB")
    """The largest message, before and after inflating; a larger one goes to relay.dead."""
    bind: Bind | None = default(None)
    """The exchange to bind the queue to."""
    declare: Flag = default(True)
    """Whether a missing queue is declared: durable, quorum."""
    reply: Replies = default(False)
    """Results go to the message's `reply_to` as well: true for exclusive queues, else the queues' names and globs."""
    event: EventTemplates = Field(default_factory=EventTemplates)
    """Templates for the event's id, type, subject and time, where the message itself does not say them."""
    override: Flag = default(False)
    """Whether `event` wins over what the message itself says."""


Source = Annotated[WebhookSource | AmqpSource, Field(discriminator="type")]
