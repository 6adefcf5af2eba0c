"""Tests beside rules: an event, and what the rules of the configuration are to make of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from relay.units import iso, parse_iso
from relay.written.block import Block, default, fault
from relay.written.kinds import Free, Jinja, Label, Text, Texts, settle


def _moment(value: Any) -> Any:
    try:
        return parse_iso(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"{value!r} is not a time: write it as 2026-11-23T09:15:00Z") from None


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Moment = Annotated[
    int,
    Field(strict=True),
    BeforeValidator(_moment),
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2026-11-23T09:15:00Z"]}),
]
"""Milliseconds since the epoch."""
Body = Annotated[Any, BeforeValidator(settle)]
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    WithJsonSchema({"type": "array", "items": {"type": "string"}}),
]
"""Names of rules, perhaps none."""
Why = Literal["ignored", "sampled", "unchanged", "stale", "shadow"]
Held = Literal["debounce", "order", "thread", "delay", "schedule", "limit", "budget", "pause"]
Ended = Literal["failed", "superseded", "suppressed", "expired", "cancelled", "parked"]


class Given(Block):
    """One delivery."""

    source: Label
    """The name of the source that it comes by."""
    event: Body = default(None)
    """The body as it comes in: a mapping or a list is sent as JSON, a text as it is."""
    file: Text | None = default(None)
    """A file with the body in place of `event`, from this file's folder."""
    headers: dict[str, Jinja] = Field(default_factory=dict)
    """Headers of the request; for a queue, properties of the message, as type or routing-key."""
    at: Moment | None = default(None)
    """When it comes in; left out: now."""

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.event is None) is (self.file is None):
            raise fault("event", "is what came in: write either `event` or `file`")
        return self


class Expect(Block):
    """What is to become of it; what is not named is not judged."""

    rules: Names | None = default(None)
    """Exactly the rules whose dispatch would go now; [] for none."""
    none_of: Texts = Field(default=(), alias="not")
    """Rules whose dispatch must not go now."""
    chat: Free | None = default(None)
    """A part of the body for Cargo of one of those rules."""
    message: Jinja | None = default(None)
    """The message of one of those rules, whole."""
    skips: dict[str, Why] = Field(default_factory=dict)
    """Rules that skip it, each with why."""
    held: dict[str, Held] = Field(default_factory=dict)
    """Rules whose dispatch waits, each with what it waits for."""
    ended: dict[str, Ended] = Field(default_factory=dict)
    """Rules whose dispatch ended at once, each with how."""

    def named(self) -> Mapping[str, tuple[str, ...]]:
        """The rules that each key names."""
        by_rule = {"skips": tuple(self.skips), "held": tuple(self.held), "ended": tuple(self.ended)}
        return {"rules": self.rules or (), "not": self.none_of, **by_rule}


class Case(Given):
    """A test of the rules, which `relay check` runs."""

    name: Text
    """What it shows, once in the configuration."""
    before: tuple[Given, ...] = default(())
    """Deliveries that came before it, in order."""
    expect: Expect
    """What is to become of it."""


@dataclass(frozen=True, slots=True)
class PlacedCase:
    """A test, and where it stands: `place` is `file:line:column`; its files are looked for in `folder`."""

    case: Case
    place: str
    folder: Path
