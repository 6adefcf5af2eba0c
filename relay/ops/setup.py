"""The JSON of how the relay is set up: sources, rules, the configuration in force."""

from typing import Annotated, Any, Literal

from pydantic import Field

from relay.ops.wire import Moment, OpenDocument, Wire


class Source(OpenDocument):
    """A configured source. `type` is `webhook` (with `path`) or `amqp` (with `queue`).

    `address` is where senders reach it, null unless `http.public_url` says so.

    `learned` says that it verifies requests with a secret that a handshake brought.
    """

    name: str
    type: str
    scheme: str | None = None
    path: str | None = None
    address: str | None = None
    queue: str | None = None
    paused: bool = False
    learned: bool = False
    last_event_at: Moment | None = None


class Sources(Wire):
    """The configured sources."""

    sources: list[Source]


class Replica(Wire):
    """A process that works on the ledger. `name` differs for every start: host, process id and a random part.

    `startedAt` is when the ledger saw it first, `seenAt` last, at most ten seconds ago where it is well.
    """

    name: str
    version: str
    started_at: Moment
    seen_at: Moment


class Replicas(Wire):
    """The replicas that were there within the last minute, the oldest first."""

    replicas: list[Replica]


class SourceState(Wire):
    """A source after it was paused or resumed."""

    name: str
    paused: bool


class Forgotten(Wire):
    """Whether there was a learned secret to forget."""

    forgotten: bool


class LearnedSecret(Wire):
    """The secret that a handshake brought."""

    secret: Annotated[str, Field(repr=False)]


class ConfigChange(Wire):
    """A source (`sources.crm`), a rule (`rules[deal]`) or another key (`cargo.rate`) that a reload changed."""

    key: str
    change: Literal["added", "removed", "changed"]


class Reload(Wire):
    """What a reload did. `hash` is that of what is in force.

    `restart` are the keys whose new values come into force with a restart; all others are in force.
    """

    status: Literal["reloaded", "unchanged"]
    hash: str
    changes: list[ConfigChange]
    restart: list[str]


class DoctorLine(Wire):
    """What one check found. `todo` is null where there is nothing to do."""

    check: str
    verdict: Literal["ok", "look", "act"]
    what: str
    todo: str | None


class DoctorReport(Wire):
    """One page of judgement, made `at` that time. `look` is worth a look, `act` needs a person."""

    at: Moment
    lines: list[DoctorLine]


class Configuration(Wire):
    """What is in force: `settings` as the files have it, with defaults, secrets masked.

    `secrets` has a hash of each secret by its key. The hashes are keyed with Cargo's token: who has it can compare, and
    nobody can guess.
    """

    hash: str
    settings: dict[str, Any]
    secrets: dict[str, str]
    restart: list[str]
