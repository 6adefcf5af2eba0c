"""What Relay knows of a Cargo chat (cargo-api: `Chat`, `Message`)."""

from relay.model.frozen import frozen


@frozen
class Chat:
    """A chat at Cargo. `stamp` is the dispatch id and run found in its `trigger.meta.relay`, if any; `connector_uuid`
    is that of a trigger of type `connector`.

    `created_at` is milliseconds since the epoch by Cargo's clock.
    """

    uuid: str
    created_at: int
    name: str | None = None
    agent_uuid: str | None = None
    trigger_type: str | None = None
    connector_uuid: str | None = None
    stamp: tuple[str, int] | None = None


@frozen
class Message:
    """A message in a chat. `type` is `user` or `assistant`; `status` as in the Cargo reference."""

    uuid: str
    type: str
    status: str


@frozen
class Page:
    """One page of Cargo's list. `rows` is how many rows came, those that are no chats included: paging goes by it."""

    chats: tuple[Chat, ...]
    rows: int
