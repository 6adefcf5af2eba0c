"""Sources as the file has them: webhooks and RabbitMQ queues."""

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from relay import schemes
from relay.config.block import Block, default, fault
from relay.config.kinds import Count, Duration, Flag, Jinja, Secrets, SecretText, Text, Texts, Unset
from relay.secret import Secret

_OWN: Final = frozenset({"type", "scheme", "secret", "secrets", "event"})


_FORMS: Final = ("unset", "unset:unset", f"whsec_{'A' * 43}=")


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
    """hmac: the header with the signature. bearer: the header with the token, Authorization when left out."""
    algorithm: Text | None = default(None)
    """hmac: sha1, sha256 or sha512."""
    encoding: Text | None = default(None)
    """hmac: hex or base64."""
    prefix: Text | None = default(None)
    """hmac: what stands before the signature in its header, as `sha256=`."""
    content: Jinja | None = default(None)
    """hmac: what is signed, of body, timestamp, method, url and header values."""
    timestamp_header: Text | None = default(None)
    """hmac: the header with the time of signing."""
    tolerance: Duration | None = default(None)
    """How far the time of signing may be from now."""
    username: Text | None = default(None)
    """basic: the user's name; the secret is the password, or `user:password` without this key."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.secret is not None and self.secrets:
            raise fault("secrets", "stands beside `secret`: keep one of them")
        return self

    @property
    def live(self) -> tuple[Secret, ...]:
        """Every secret that is accepted."""
        return self.secrets or ((self.secret,) if self.secret is not None else ())

    def options(self) -> dict[str, Any]:
        """The scheme's own keys that are given; durations in milliseconds."""
        return {key: getattr(self, key) for key in self.model_fields_set - _OWN if getattr(self, key) is not None}

    def spec(self) -> schemes.SchemeSpec:
        """What `relay.schemes.build` wants.

        A secret that is not set, under `check`, gives way to one of a form that the scheme takes.
        """
        told = schemes.SchemeSpec(self.scheme, self.live, self.options())
        if not any(isinstance(secret, Unset) for secret in self.live):
            return told
        forms = (replace(told, secrets=(Secret(form),)) for form in _FORMS)
        return next(filter(_builds, forms), told)


class Bind(Block):
    """Binds the queue to an exchange that is there already."""

    exchange: Text
    """The exchange's name."""
    routing_keys: Texts = default(("#",))
    """Binding keys; # is any."""


class AmqpSource(Block):
    """One RabbitMQ queue."""

    type: Literal["amqp"]
    """RabbitMQ in."""
    queue: Text
    """The queue's name; it is used as it is when it exists."""
    prefetch: Count = default(100)
    """Messages that may be unacknowledged at once."""
    bind: Bind | None = default(None)
    """The exchange to bind the queue to."""
    declare: Flag = default(True)
    """Whether a missing queue is declared: durable, quorum."""
    reply: Flag = default(False)
    """Whether results go to the message's `reply_to` as well."""
    event: EventTemplates = Field(default_factory=EventTemplates)
    """Templates for the event's id, type, subject and time."""


def _builds(spec: schemes.SchemeSpec) -> bool:
    try:
        schemes.build(spec)
    except schemes.SchemeFault:
        return False
    return True


Source = Annotated[WebhookSource | AmqpSource, Field(discriminator="type")]
