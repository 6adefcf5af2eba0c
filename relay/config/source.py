"""The models of sources in the file: webhooks and RabbitMQ queues."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from relay import schemes
from relay.config.wire import BodySize, HeaderName, Name, Names, Prefetch, Replies
from relay.secret import Secret
from relay.written.block import Block, default, fault
from relay.written.kinds import (
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

_BOUNDS: Final = frozenset({"limit", "allow", "client_cert", "max_body", "max_in_flight", "retain", "expect", "hide"})
_OWN: Final = frozenset({"type", "scheme", "secret", "secrets", "event", "keep_rejected"}) | _BOUNDS


class EventTemplates(Block):
    """Templates over `data`, `headers` and `vars` for the fields of an event, where the scheme does not define them."""

    id: Jinja | None = default(None)
    """The sender's id, which stays the same when the event is sent again."""
    type: Jinja | None = default(None)
    """The event's type, which rules select by."""
    subject: Jinja | None = default(None)
    """The subject of the event."""
    time: Jinja | None = default(None)
    """The time of the event: ISO 8601, or seconds or milliseconds since 1970."""

    def texts(self) -> dict[str, str]:
        """The templates that are set, by field."""
        return {name: text for name, text in self if text is not None}


class LimitBlock(Block):
    """The limit of a source's requests."""

    rate: Pace
    """Verified requests per replica; above it 429 with Retry-After, unless all their events are duplicates."""
    burst: Count | None = default(None)
    """How many at once; default: the count of the rate."""


class ClientCert(Block):
    """A client certificate that a proxy in http.trusted_proxies has verified and names in a header."""

    header: HeaderName
    """The header that the proxy sets to the subject, for example X-SSL-Client-S-DN or X-Forwarded-Client-Cert."""
    subject: Texts
    """The subjects that may send, in the proxy's notation."""


class WebhookSource(Block):
    """The webhook `POST /hooks/<name>`. The keys from `header` to `batch` belong to certain schemes."""

    type: Literal["webhook"]
    """A webhook."""
    scheme: Text
    """How senders are verified."""
    secret: SecretText | None = default(None)
    """The secret shared with the sender."""
    secrets: Secrets = default(())
    """Several valid secrets, for rotation, instead of `secret`."""
    event: EventTemplates = Field(default_factory=EventTemplates)
    """Templates for the event's id, type, subject and time."""
    header: Text | None = default(None)
    """hmac: the header with the signature. Tokens: the header with the token; default: Authorization."""
    algorithm: Text | None = default(None)
    """hmac: sha1, sha256 or sha512."""
    encoding: Text | None = default(None)
    """hmac: hex or base64."""
    prefix: Text | None = default(None)
    """hmac: the prefix of the signature in its header, for example `sha256=`."""
    separator: Text | None = default(None)
    """hmac: the separator between several signatures in the header."""
    content: Jinja | None = default(None)
    """hmac: the signed text, a template over body, timestamp, method, url and header values."""
    key: Text | None = default(None)
    """hmac: the encoding of the secret: text, hex or base64."""
    timestamp_header: Text | None = default(None)
    """hmac: the header with the time of signing."""
    tolerance: Duration | None = default(None)
    """How far the time of signing may differ from now."""
    username: Text | None = default(None)
    """basic: the user's name; the secret is the password, or `user:password` without this key."""
    query: Text | None = default(None)
    """Tokens in the URL: the name of the parameter."""
    versions: Texts | None = default(None)
    """With a vendor's name: which of its schemes are accepted, for example hubspot-v3; default: the strongest."""
    verify_token: SecretText | None = default(None)
    """The token that the vendor sends in its handshake."""
    webhook_id: Text | None = default(None)
    """The vendor's id of the webhook, which its signature covers."""
    cert_pem: PemText | None = default(None)
    """The vendor's certificate in PEM, instead of the one that a request names."""
    organization_id: Text | None = default(None)
    """The organization whose messages are accepted."""
    topics: Texts | None = default(None)
    """The topics whose messages are accepted."""
    origins: Texts | None = default(None)
    """The accepted values of the sender's `WebHook-Request-Origin`."""
    xml_lists: Texts | None = default(None)
    """The XML elements that are read as lists, even when there is only one."""
    cut: Texts | None = default(None)
    """Paths of credentials to remove from the body before it is stored, for example data.session.token."""
    cloudevents: Flag | None = default(None)
    """Whether CloudEvents are read by a scheme that does not read them by default."""
    replay: Literal["refuse", "type", "allow"] | None = default(None)
    """How the same signed body with another id is treated: refuse (a duplicate), type (a new event if its type
    differs), allow (a new event); default: depends on the scheme."""
    batch: Flag | None = default(None)
    """segment: whether lists are accepted, of which only the first item is signed."""
    keep_rejected: Duration | None = default(None)
    """How long bodies of refused requests are kept for `relay readmit`; default: not kept."""

    limit: LimitBlock | None = default(None)
    """The limit of requests."""
    allow: Networks = default(())
    """Networks that may send; default: all. Behind a proxy it needs http.trusted_proxies."""
    client_cert: ClientCert | None = default(None)
    """The client certificate that senders must present to a trusted proxy."""
    max_body: BodySize | None = default(None)
    """The largest body, after inflating; default: http.max_body."""
    max_in_flight: Size | None = default(None)
    """Bytes of unanswered requests to this source; above it 503."""
    retain: Duration | None = default(None)
    """Finished events of this source are pruned after this; default: ledger.retain."""
    expect: Duration | None = default(None)
    """The longest time without an event; longer is a problem. Default: any time."""
    hide: Texts = default(())
    """Paths as data.customer.email, whose values only the role admin sees, wherever they occur."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.secret is not None and self.secrets:
            raise fault("secrets", "is given together with `secret`: keep one of them")
        return self

    @property
    def live(self) -> tuple[Secret, ...]:
        """All accepted secrets."""
        return self.secrets or ((self.secret,) if self.secret is not None else ())

    @property
    def unset(self) -> bool:
        """Whether a secret's variable or file is missing."""
        return any(isinstance(secret, Unset) for secret in self.live)

    def options(self) -> dict[str, Any]:
        """The keys of the scheme that are set. Durations are milliseconds."""
        return {key: getattr(self, key) for key in self.model_fields_set - _OWN if getattr(self, key) is not None}

    def spec(self) -> schemes.SchemeSpec:
        """The scheme for `relay.schemes.build`.

        In `check`, a secret that is not set is replaced by an example in the format that the scheme accepts.
        """
        spec = schemes.SchemeSpec(self.scheme, self.live, self.options())
        if self.scheme not in schemes.names() or not self.unset:
            return spec
        secret = schemes.example(self.scheme).secret
        return replace(spec, secrets=(Secret(secret),) if secret else self.live)


class Bind(Block):
    """Binds the queue to an existing exchange."""

    exchange: Name
    """The exchange's name."""
    routing_keys: Names = default(("#",))
    """Binding keys; # matches all."""


class AmqpSource(Block):
    """One RabbitMQ queue."""

    type: Literal["amqp"]
    """A RabbitMQ queue."""
    queue: Name
    """The queue's name; an existing queue is used unchanged."""
    prefetch: Prefetch = default(100)
    """The maximum number of unacknowledged messages."""
    max_message: Size = default("1MiB")
    """The largest message, before and after inflating; larger ones go to relay.dead."""
    bind: Bind | None = default(None)
    """The exchange to bind the queue to."""
    declare: Flag = default(True)
    """Whether a missing queue is declared as a durable quorum queue."""
    reply: Replies = default(False)
    """Whether results go to the message's `reply_to` too: true for exclusive queues, or names and globs of queues."""
    event: EventTemplates = Field(default_factory=EventTemplates)
    """Templates for the event's id, type, subject and time, where the message does not have them."""
    override: Flag = default(False)
    """Whether `event` overrides the message's own id, type, subject and time."""
    expect: Duration | None = default(None)
    """The longest time without an event; longer is a problem. Default: any time."""
    hide: Texts = default(())
    """Paths as data.customer.email, whose values only the role admin sees, wherever they occur."""


Source = Annotated[WebhookSource | AmqpSource, Field(discriminator="type")]
