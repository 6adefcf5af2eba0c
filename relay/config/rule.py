"""The model of a rule in the file."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, create_model

from relay.rules import RuleSpec, rule_text
from relay.rules.keys import KEYS, Key
from relay.written.block import Block, default
from relay.written.kinds import Condition, Flag, Free, Jinja, Label, Texts

OFF: Final = "off"
"""Switches a key off that `defaults` gives."""


class BaseRule(Block):
    """The keys of a rule that have no module in `relay.rules.keys`."""

    name: Label
    """The rule's name, unique in the configuration."""
    source: Texts = default(())
    """Names or globs of sources; default: all."""
    type: Texts = default(())
    """Names or globs of event types; default: all."""
    when: Condition | None = default(None)
    """A Jinja expression, without braces, over data, event, headers, vars and the names of let."""
    chat: Free
    """The body of `POST /ai/chats`, see Cargo's reference; every string is a template."""
    message: Jinja | None = default(None)
    """The first message, sent once the chat exists; a template."""
    follow: Jinja | None = default(None)
    """What later events say in the chat of their `thread`, a template; left out: message."""
    stop: Flag = default(False)
    """Whether later rules are skipped when this rule matches."""
    on_unknown: Literal["park", "retry"] = default("park")
    """What to do when Cargo's response was lost and the chat cannot be searched: park it, or risk a second chat."""

    def written(self) -> dict[str, Any]:
        """The keys that differ from their defaults, as JSON values."""
        return self.model_dump(mode="json", exclude_defaults=True, by_alias=True)

    @cached_property
    def text(self) -> str:
        """The same as one text, which versions and the hash of the configuration are made of."""
        return rule_text(self.written())

    @cached_property
    def spec(self) -> RuleSpec:
        """The rule for `relay.rules`."""
        return RuleSpec(
            name=self.name,
            sources=self.source,
            types=self.type,
            when=self.when,
            chat=self.chat,
            message=self.message,
            follow=self.follow,
            stop=self.stop,
            on_unknown=self.on_unknown,
            keys={key.name: value for key in KEYS if (value := getattr(self, key.name)) is not None},
        )


def _none_where_off(value: Any) -> Any:
    return None if value == OFF else value


def _complete(key: type[Key]) -> Callable[[dict[str, Any]], None]:
    """Adds to a schema what validators before it take: short forms, and `off`."""

    def complete(schema: dict[str, Any]) -> None:
        schema["anyOf"] = [*schema["anyOf"], *key.short, {"const": OFF}]

    return complete


def _fields(*, with_defaults: bool) -> dict[str, Any]:
    """A field for each key, of its own kind; null and `off` are none."""
    kinds = {key: Annotated[key.kind | None, BeforeValidator(_none_where_off)] for key in KEYS}
    return {
        key.name: (
            kinds[key],
            Field(
                default=key.default if with_defaults else None, description=key.about, json_schema_extra=_complete(key)
            ),
        )
        for key in KEYS
    }


if TYPE_CHECKING:

    class Rule(BaseRule):
        """Which events make a chat, and what the chat is."""

    class Defaults(Block):
        """Keys for every rule of the file that does not set them."""

else:
    Rule = create_model(
        "Rule",
        __base__=BaseRule,
        __doc__="Which events make a chat, and what the chat is.",
        **_fields(with_defaults=True),
    )
    Defaults = create_model(
        "Defaults",
        __base__=Block,
        __doc__="Keys for every rule of the file that does not set them.",
        **_fields(with_defaults=False),
    )
