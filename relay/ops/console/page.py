"""What a page and an act are, and what they are made of."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from relay.ops.access import TokenHolder
from relay.ops.api import Api
from relay.ops.gauges import Watch
from relay.ops.guard import Guesses
from relay.ops.operations import Operations
from relay.ops.session import Sessions
from relay.telemetry import Status

Values = Mapping[str, Any]
"""The values of a template."""
Form = Mapping[str, str]
"""The fields of a form that was sent."""


@dataclass(frozen=True, slots=True)
class Console:
    """What pages are made of.

    `clock` returns milliseconds since the epoch, `holders` the present holders of tokens, `workspace_at` the address of
    the workspace in Cargo's app, None where it is not known.
    """

    api: Api
    operations: Operations
    status: Status
    watch: Watch
    guesses: Guesses
    sessions: Sessions
    holders: Callable[[], tuple[TokenHolder, ...]]
    clock: Callable[[], int]
    version: str
    workspace_at: Callable[[], str | None]

    def agent_at(self, agent_uuid: str | None) -> str | None:
        """The address of an agent in Cargo's app, where its chats are."""
        workspace = self.workspace_at()
        return None if workspace is None or agent_uuid is None else f"{workspace}/agents/{quote(agent_uuid, safe='')}"


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """A page at `path`: `template` with the values that `show` gives, or the answer that it gives instead.

    `nav` is its name in the navigation, if it is there. `answer` gives the values for a form that is posted to it, and
    that changes nothing.
    """

    path: str
    template: str
    show: Callable[[Console, web.Request], Awaitable[Values | web.StreamResponse]]
    nav: str | None = None
    answer: Callable[[Console, web.Request, Form], Awaitable[Values]] | None = None


@dataclass(frozen=True, slots=True)
class Checkbox:
    """A box to tick at a confirmation."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a confirmation asks. `says` are sentences on what will happen, `back` is where one came from."""

    title: str
    says: tuple[str, ...]
    button: str
    back: str
    options: tuple[Checkbox, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in a sentence, and the page that shows it."""

    notice: str
    place: str


@dataclass(frozen=True, slots=True)
class PageAct:
    """Something to do: GET asks whether to, POST does it and goes on to the page that shows it."""

    path: str
    ask: Callable[[Console, web.Request], Awaitable[Confirmation]]
    do: Callable[[Console, web.Request, Form], Awaitable[Done]]
