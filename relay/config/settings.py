"""The whole configuration as pydantic models; durations in milliseconds, sizes in bytes."""

import warnings
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from relay.config.address import broker_url, ledger_url, part_password, proxy_url, public_url, web_url
from relay.config.block import Block, default, fault
from relay.config.kinds import (
    Address,
    Count,
    Duration,
    Flag,
    Free,
    Keys,
    KeyText,
    Networks,
    Pace,
    SecretText,
    Size,
    Text,
    Token,
    Unset,
)
from relay.config.nodes import join_nodes
from relay.config.rule import Rule
from relay.config.source import Source
from relay.config.wire import BodySize, Calls, Name
from relay.secret import Secret

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
    """Where the API is, its version included."""
    token: Token
    """The API token, made in Cargo under Settings > API."""
    timeout: Duration = default("30s")
    """How long one call may take."""
    concurrency: Calls = default(32)
    """Calls in flight per replica."""
    rate: Pace | None = default(None)
    """Starts of calls over all replicas; left out: no limit."""
    settle: Duration = default("60s")
    """How long after an unknown outcome absence from Cargo's list becomes proof."""
    workspace_uuid: Text | None = default(None)
    """The workspace, when the token sees several."""
    ca_file: Text | None = default(None)
    """A file of certificate authorities trusted beside the system's."""
    cert_file: Text | None = default(None)
    """A client certificate in PEM, for a Cargo or a proxy in between that asks for one."""
    key_file: Text | None = default(None)
    """The certificate's key in PEM, not encrypted."""
    proxy: Proxy | None = default(None)
    """An HTTP proxy for calls to Cargo, with credentials if need be; none: no proxy; left out: as HTTPS_PROXY says."""
    insecure: Flag = default(False)
    """Whether plain http:// may leave this machine, token and all."""


with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message='Field name "schema"')  # pydantic 1 had a method there

    class LedgerBlock(Block):
        """The database that holds events, dispatches, attempts and results."""

        url: Annotated[str, Field(strict=True), BeforeValidator(ledger_url)] = default("sqlite:///relay.db")
        """sqlite:///file, or postgresql://user@host:5432/database."""
        password: SecretText | None = default(None)
        """PostgreSQL's password."""
        ca_file: Text | None = default(None)
        """A file of certificate authorities; PostgreSQL is then asked for TLS and verified."""
        cert_file: Text | None = default(None)
        """A client certificate in PEM, for a PostgreSQL that asks for one."""
        key_file: Text | None = default(None)
        """The certificate's key in PEM, not encrypted."""
        schema: Text | None = default(None)  # type: ignore[assignment]  # what pydantic has there is deprecated
        """PostgreSQL's schema for the tables; left out: the first of the role's search_path, mostly public."""
        retain: Duration = default("30d")
        """Finished events are pruned after this."""
        remember: Duration = default("90d")
        """External ids are known this long, so that a repeat makes nothing new."""
        high_water: Count = default(100_000)
        """Unfinished dispatches past which intake says 503."""
        retain_unmatched: Duration = default("7d")
        """Events that no rule wanted are pruned after this."""
        max_unmatched: Count = default(100_000)
        """Events that no rule wanted are kept up to this many."""

        timeout: Duration = default("3s")
        """How long PostgreSQL may take for what somebody waits for; then webhooks are answered 503."""

        def access(self) -> dict[str, Any]:
            """What it takes to open the ledger, beside its url."""
            return {key: getattr(self, key) for key in ("password", "ca_file", "cert_file", "key_file", "schema")}

        _part = model_validator(mode="before")(part_password)


class BrokerBlock(Block):
    """RabbitMQ. Leave the block out to run without."""

    url: BrokerUrl
    """amqp://user@host:5672/vhost, or amqps://."""
    urls: tuple[BrokerUrl, ...] = default(())
    """Several nodes, tried in turn; user and virtual host are those of `url`, or else of the first."""
    password: SecretText | None = default(None)
    """The user's password."""
    ca_file: Text | None = default(None)
    """A file of certificate authorities for amqps."""
    cert_file: Text | None = default(None)
    """A client certificate in PEM; without a user in the URL it is the login (SASL EXTERNAL)."""
    key_file: Text | None = default(None)
    """The certificate's key in PEM, not encrypted."""

    _part = model_validator(mode="before")(join_nodes)


class ResultsBlock(Block):
    """Where results go."""

    exchange: Name = default("relay.results")
    """The topic exchange, declared durable by the relay."""
    queue: Name | None = default("relay.results")
    """A durable quorum queue bound to all of it; null declares none."""


class HttpBlock(Block):
    """The three listeners."""

    hooks: Address = default(":8080")
    """The public listener: /hooks/... and nothing else. :8080 is every address, IPv4 and IPv6."""
    health: Address = default(":8082")
    """/livez, /readyz and /metrics: nothing of a customer's."""
    ops: Address = default("127.0.0.1:8081")
    """API and console."""
    max_body: BodySize = default("1MiB")
    """The largest body of a webhook, inflated."""
    max_connections: Count = default(1_000)
    """Connections to the hooks listener; beyond them idle ones are closed, then those of the address with most."""
    max_in_flight: Size = default("64MiB")
    """What came over all connections and is not answered yet; beyond it 503, first for the address with most."""
    limit_refused: Pace | None = default("10/s")
    """Refused requests of one address to one source, ten times as many at once; beyond it 429 unread; null: none."""
    token: Token | None = default(None)
    """The bearer token that the ops listener asks for; without one it binds loopback only."""
    public_url: PublicUrl | None = default(None)
    """The URL under which senders reach the hooks listener, for schemes that sign the URL."""
    trusted_proxies: Networks = default(())
    """Networks whose X-Forwarded-* headers are believed."""


class RetryBlock(Block):
    """How long and how often what failed for now is tried again."""

    first: Duration = default("1s")
    """The first wait; it doubles, with full jitter."""
    cap: Duration = default("5m")
    """The longest wait."""
    give_up_after: Duration = default("24h")
    """From the first attempt, without global pauses."""


class EncryptBlock(Block):
    """Encryption at rest of bodies, kept requests and learned secrets; without keys they are kept as they are."""

    key: KeyText | None = default(None)
    """32 random bytes in base64 or hex (`openssl rand -base64 32`), with which is encrypted what is written."""
    old: Keys = default(())
    """Former keys, and keys that other replicas use already: only for reading."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.key is not None and not isinstance(self.key, Unset) and self.key in self.old:
            raise fault("old", "holds the key itself: take it out here, `key` reads too")
        return self


class Settings(Block):
    """The configuration; nothing in it prints a secret."""

    cargo: CargoBlock
    """Cargo's API."""
    ledger: LedgerBlock = Field(default_factory=LedgerBlock)
    """The database."""
    broker: BrokerBlock | None = default(None)
    """RabbitMQ; leave the block out to run without."""
    results: ResultsBlock = Field(default_factory=ResultsBlock)
    """Where results go."""
    http: HttpBlock = Field(default_factory=HttpBlock)
    """The three listeners."""
    retry: RetryBlock = Field(default_factory=RetryBlock)
    """Retries of calls to Cargo."""
    encrypt: EncryptBlock = Field(default_factory=EncryptBlock)
    """Encryption at rest."""
    vars: Free = Field(default_factory=dict)
    """Constants for rules."""
    sources: dict[str, Source] = Field(default_factory=dict)
    """The ways in, by name."""
    rules: tuple[Rule, ...] = default(())
    """Which events make which chats, in order."""

    def redacted(self) -> dict[str, Any]:
        """Everything as plain JSON values, durations and sizes as text, secrets masked."""
        return self.model_dump(mode="json")
