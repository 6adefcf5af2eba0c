"""What Relay knows of a Cargo chat and its messages: the fields of Cargo's `Chat` and `Message` that it works with."""

from relay.model.frozen import frozen


@frozen
class Chat:
    """A chat at Cargo.

    `created_at` is milliseconds since the epoch by Cargo's clock. `stamp` is the dispatch id and run in its
    `trigger.meta.relay`, if any. `connector_uuid` is set for a trigger of type `connector`.
    `credits_used` is what its messages have cost so far, None where Cargo does not say.
    """

    uuid: str
    created_at: int
    name: str | None = None
    agent_uuid: str | None = None
    trigger_type: str | None = None
    connector_uuid: str | None = None
    stamp: tuple[str, int] | None = None
    credits_used: float | None = None


@frozen
class Message:
    """A message in a chat. `type` is `user` or `assistant`; the Cargo reference lists the values of `status`.

    `text` joins its parts of type text. `created_at` is milliseconds since the epoch by Cargo's clock, None if unknown.
    """

    uuid: str
    type: str
    status: str
    text: str = ""
    created_at: int | None = None


@frozen
class Page:
    """One page of Cargo's list of chats.

    `rows` is the number of rows that Cargo sent, including rows that are not chats. It gives the next page's offset.
    """

    chats: tuple[Chat, ...]
    rows: int
