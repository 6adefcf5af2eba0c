"""Events of the past, from a running relay's API."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final

from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.cli.client import Client
    from relay.model import Event


class MaskedEvent(RelayError):
    """Rules would take the mask of a hidden value for what came."""


_PAGE: Final = 200


async def api_events(
    client: "Client", filters: dict[str, Any], wants: Callable[[str, str | None], bool]
) -> "AsyncGenerator[Event | None]":
    """The events of a list, newest first; None for one that nobody wants. `wants` is given the source and the type."""
    from relay.cli.client import segment

    cursor = None
    while True:
        [page] = await client.get_all([("events", {**filters, "limit": _PAGE, "cursor": cursor})])
        wanted = [event["id"] for event in page["events"] if wants(event["source"], event["type"])]
        for document in await client.get_all([(f"events/{segment(event_id)}", {}) for event_id in wanted]):
            yield None if document is None else read_event(document)  # it may have been pruned meanwhile
        for _ in range(len(page["events"]) - len(wanted)):
            yield None
        cursor = page["cursor"]
        if cursor is None:
            return


def read_event(document: dict[str, Any]) -> "Event":
    """The event for the rules, from the API's document. Raises MaskedEvent."""
    from relay.model import Event
    from relay.units import parse_iso

    if hidden := document["hidden"]:
        raise MaskedEvent(
            f"event {document['id']} is of source {document['source']}, whose {', '.join(hidden)} this token may not "
            "see: rules would judge *** instead of what came. Use a token of role admin"
        )
    return Event(
        id=document["id"],
        source=document["source"],
        external_id=document["externalId"],
        type=document["type"],
        data=document["data"],
        raw=b"",
        digest=b"",
        received_at=parse_iso(document["receivedAt"]),
        subject=document["subject"],
        time=None if document["time"] is None else parse_iso(document["time"]),
        headers=document["headers"],
        unreadable=document["unreadable"],
    )
