"""The configuration as pydantic models. Durations are milliseconds, sizes are bytes."""

import warnings
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from relay.config.address import broker_url, ledger_url, part_password, proxy_url, public_url, web_url
from relay.config.alerts import AlertsBlock
from relay.config.case import Case
from relay.config.nodes import join_nodes
from relay.config.rule import Defaults, Rule
from relay.config.source import Source
from relay.config.wire import BodySize, Calls, Name
from relay.secret import Secret
from relay.written.block import Block, default, fault
from relay.written.kinds import (
    Address,
    Count,
    Duration,
    Flag,
    Free,
    Keys,
    KeyText,
    Label,
    Networks,
    Pace,
    SecretText,
    Size,
    Text,
    Token,
    Unset,
)

Url = Annotated[str, Field(strict=True), BeforeValidator(web_url)]
PublicUrl = Annotated[str, Field(strict=True), BeforeValidator(public_url)]
BrokerUrl = Annotated[str, Field(strict=True), BeforeValidator(broker_url)]
Proxy = Annotated[
    Secret | Literal["none"],
    PlainValidator(proxy_url),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["http://user:password@proxy:3128", "none"]}),
]


class CargoBlock(Block):
    """Cargo's API."""

    base_url: Url = default("https://api.getcargo.io/v1")
    """The URL of the API, with its version."""
    token: Token
    """The API token, made in Cargo under Settings > API."""
    timeout: Duration = default("30s")
    """The timeout of one call."""
    concurrency: Calls = default(32)
    """Calls in flight per replica."""
    rate: Pace | None = default(None)
    """The rate of calls over all replicas; default: no limit."""
    settle: Duration = default("60s")
    """How long after an unknown outcome a chat's absence from Cargo's list counts as proof."""
    workspace_uuid: Text | None = default(None)
    """The uuid of the workspace, when the token has access to several."""
    ca_file: Text | None = default(None)
    """A file of certificate authorities to trust in addition to the system's."""
    cert_file: Text | None = default(None)
    """A client certificate in PEM, if Cargo or a proxy requires one."""
    key_file: Text | None = default(None)
    """The certificate's key in PEM, not encrypted."""
    proxy: Proxy | None = default(None)
    """The URL of an HTTP proxy for calls to Cargo, or none for no proxy; default: HTTPS_PROXY."""
    insecure: Flag = default(False)
    """Whether the token may leave this machine over plain http://."""


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message='Field name "schema"')  # pydantic 1 had a method of this name

    class LedgerBlock(Block):
        """The database that holds events, dispatches, attempts and results."""

        url: Annotated[str, Field(strict=True), BeforeValidator(ledger_url)] = default("sqlite:///relay.db")
        """sqlite:///file, or postgresql://user@host:5432/database."""
        password: SecretText | None = default(None)
        """PostgreSQL's password."""
        ca_file: Text | None = default(None)
        """A file of certificate authorities; it enforces TLS and verifies PostgreSQL's certificate."""
        cert_file: Text | None = default(None)
        """A client certificate in PEM, if PostgreSQL requires one."""
        key_file: Text | None = default(None)
        """The certificate's key in PEM, not encrypted."""
        schema: Text | None = default(None)  # type: ignore[assignment]  # pydantic's attribute of this name is deprecated
        """PostgreSQL's schema for the tables; default: the first of the role's search_path, usually public."""
        retain: Duration = default("30d")
        """Finished events are pruned after this."""
        remember: Duration = default("90d")
        """External ids are remembered this long; an event that is sent again meanwhile is a duplicate."""
        high_water: Count = default(100_000)
        """The number of unfinished dispatches above which new events are refused with 503."""
        retain_unmatched: Duration = default("7d")
        """Events that match no rule are pruned after this."""
        max_unmatched: Count = default(100_000)
        """The maximum number of kept events that match no rule."""

        timeout: Duration = default("3s")
        """The timeout of PostgreSQL while a sender waits; after it, webhooks get 503."""

        def access(self) -> dict[str, Any]:
            """The keys for opening the ledger, besides its url."""
            return {key: getattr(self, key) for key in ("password", "ca_file", "cert_file", "key_file", "schema")}

        _part = model_validator(mode="before")(part_password)


class BrokerBlock(Block):
    """RabbitMQ. Leave the block out to run without it."""

    url: BrokerUrl
    """amqp://user@host:5672/vhost, or amqps://."""
    urls: tuple[BrokerUrl, ...] = default(())
    """The nodes of a cluster, tried in turn, with the user and virtual host of `url`, or of the first node."""
    password: SecretText | None = default(None)
    """The user's password."""
    ca_file: Text | None = default(None)
    """A file of certificate authorities for amqps."""
    cert_file: Text | None = default(None)
    """A client certificate in PEM; without a user in the URL it is used to log in (SASL EXTERNAL)."""
    key_file: Text | None = default(None)
    """The certificate's key in PEM, not encrypted."""

    _part = model_validator(mode="before")(join_nodes)


class ResultsBlock(Block):
    """The destination of results."""

    exchange: Name = default("relay.results")
    """The topic exchange; Relay declares it, durable."""
    queue: Name | None = default("relay.results")
    """A durable quorum queue bound to all results; null declares none."""


class TokenBlock(Block):
    """A token of the ops listener, and what it allows."""

    token: Token
    """The bearer token."""
    role: Literal["read", "operate", "admin"]
    """read sees; operate acts on events, dispatches, sources and problems too; admin does everything."""


class HttpBlock(Block):
    """The three listeners."""

    hooks: Address = default(":8080")
    """The public listener, for /hooks/... only. :8080 listens on all addresses, IPv4 and IPv6."""
    health: Address = default(":8082")
    """The listener of /livez, /readyz and /metrics, which show no customer data."""
    ops: Address = default("127.0.0.1:8081")
    """The listener of the API and the console."""
    max_body: BodySize = default("1MiB")
    """The largest body of a webhook, after inflating."""
    max_connections: Count = default(1_000)
    """Connections to the hooks listener; above it, idle ones are closed, then those of the address with the most."""
    max_in_flight: Size = default("64MiB")
    """Bytes of unanswered requests of all connections; above it 503, first for the address with the most."""
    limit_refused: Pace | None = default("10/s")
    """Refused requests per address and source, with bursts of ten times as many; above it 429; null: no limit."""
    token: Token | None = default(None)
    """The bearer token for the ops listener; without one it must bind to loopback."""
    tokens: dict[Label, TokenBlock] = default({})
    """Further tokens of the ops listener, by the name of who holds one."""
    public_url: PublicUrl | None = default(None)
    """The URL where senders reach the hooks listener, for schemes that sign the URL."""
    trusted_proxies: Networks = default(())
    """Networks of the proxies whose X-Forwarded-* headers are trusted."""


class RetryBlock(Block):
    """The retries after temporary failures."""

    first: Duration = default("1s")
    """The first wait; it doubles with each retry, with full jitter."""
    cap: Duration = default("5m")
    """The longest wait."""
    give_up_after: Duration = default("24h")
    """The time from the first attempt, without global pauses, after which a dispatch is parked."""


class EncryptBlock(Block):
    """Encryption at rest of bodies, kept requests and learned secrets; without keys they are stored in plain text."""

    key: KeyText | None = default(None)
    """The key for new data: 32 random bytes in base64 or hex (`openssl rand -base64 32`)."""
    old: Keys = default(())
    """Keys only for reading: former keys, and keys that other replicas use already."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.key is not None and not isinstance(self.key, Unset) and self.key in self.old:
            raise fault("old", "contains `key` itself: remove it here, `key` is used for reading too")
        return self


class Settings(Block):
    """The configuration. It never prints a secret."""

    cargo: CargoBlock
    """Cargo's API."""
    ledger: LedgerBlock = Field(default_factory=LedgerBlock)
    """The database."""
    broker: BrokerBlock | None = default(None)
    """RabbitMQ; leave the block out to run without it."""
    results: ResultsBlock = Field(default_factory=ResultsBlock)
    """The destination of results."""
    http: HttpBlock = Field(default_factory=HttpBlock)
    """The three listeners."""
    retry: RetryBlock = Field(default_factory=RetryBlock)
    """Retries of calls to Cargo."""
    encrypt: EncryptBlock = Field(default_factory=EncryptBlock)
    """Encryption at rest."""
    alerts: AlertsBlock = Field(default_factory=AlertsBlock)
    """Who is told of problems."""
    vars: Free = Field(default_factory=dict)
    """Constants for rules."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The sources, by name."""
    defaults: Defaults = Field(default_factory=Defaults)
    """Keys for every rule of the same file that does not set them; off in a rule switches one off."""
    rules: tuple[Rule, ...] = default(())
    """The rules, in order: which events make which chats."""
    tests: tuple[Case, ...] = default(())
    """Events and what the rules must make of them; relay check runs them."""

    def redacted(self, without: set[str] | None = None) -> dict[str, Any]:
        """The configuration, `without` some keys, as JSON: durations and sizes as text, secrets masked."""
        return self.model_dump(mode="json", by_alias=True, exclude=without)
