"""A rule as the file has it."""

from typing import Literal

from relay.config.block import Block, default
from relay.config.kinds import Condition, Flag, Free, Jinja, Label, Texts
from relay.rules import RuleSpec


class Rule(Block):
    """Which events make a chat, and what the chat is."""

    name: Label
    """The rule's name, once in the configuration."""
    source: Texts = default(())
    """Names or globs of sources; left out: any."""
    type: Texts = default(())
    """Names or globs of event types; left out: any."""
    when: Condition | None = default(None)
    """A bare Jinja expression over data, event, headers and vars."""
    chat: Free
    """The body of `POST /ai/chats` as Cargo's reference has it; every string is a template."""
    message: Jinja | None = default(None)
    """The first message, sent once the chat exists; a template."""
    stop: Flag = default(False)
    """Whether the matching ends here once this rule matched."""
    on_unknown: Literal["park", "retry"] = default("park")
    """What to do when Cargo's answer was lost and cannot be looked up: wait for a person, or risk a second chat."""

    def spec(self) -> RuleSpec:
        """What `relay.rules` wants."""
        return RuleSpec(
            name=self.name,
            sources=self.source,
            types=self.type,
            when=self.when,
            chat=self.chat,
            message=self.message,
            stop=self.stop,
            on_unknown=self.on_unknown,
        )
