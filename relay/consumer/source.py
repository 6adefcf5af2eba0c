"""A queue as a way in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.rules import Template


@dataclass(frozen=True, slots=True)
class Input:
    """A configured source of type `amqp`.

    At most `prefetch` messages are under way at once, each of at most `most` bytes, before and after inflating. `bind`
    is an exchange and routing keys to bind the queue with. `declare` False: the queue must be there. `reply` keeps a
    message's `reply_to`: True where it names an exclusive queue, else where one of the globs fits. `event` has
    templates for `id`, `type`, `subject` and `time`, for what the message itself does not say; with `override` they win
    over it. `vars` are the rules' constants.
    """

    name: str
    queue: str
    prefetch: int = 100
    most: int = 1 << 20
    bind: tuple[str, tuple[str, ...]] | None = None
    declare: bool = True
    reply: bool | tuple[str, ...] = False
    event: Mapping[str, Template] = field(default_factory=dict)
    override: bool = False
    vars: Mapping[str, Any] = field(default_factory=dict)
