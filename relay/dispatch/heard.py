"""Finds the message of a dispatch among those of a chat, after a call whose outcome is unknown."""

from collections.abc import Sequence
from typing import Final

from relay.model import Claim, Message

_SKEW: Final = 5_000
"""Milliseconds by which Cargo's clock may be behind the ledger's."""


def find_message(claim: Claim, messages: Sequence[Message]) -> Message | None:
    """The message that this dispatch has said; None when it is not there.

    A new chat has no other user than Relay, so any message of a user is its first one. In the chat of a thread it is
    one of the same text that is not older than the attempt, that no other dispatch of the thread has said, and that
    came after those by Cargo's clock.
    """
    users = [message for message in messages if message.type == "user"]
    if not claim.follows:
        return users[0] if users else None
    taken = [message.created_at for message in users if message.uuid in claim.taken and message.created_at is not None]
    oldest = max(claim.began_at - _SKEW, *taken, 0)
    for message in users:
        is_new = message.created_at is None or message.created_at >= oldest
        if message.uuid not in claim.taken and message.text == claim.dispatch.message and is_new:
            return message
    return None
