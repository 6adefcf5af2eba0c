"""Reads events of the past from a ledger, for commands that run where no relay does."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from relay.app.adapters import make_owner, make_policy, make_terms, make_vault
from relay.config import Settings
from relay.errors import NotFound, RelayError, Unavailable
from relay.ledger import is_file, open_ledger
from relay.model import Event, EventQuery
from relay.place import exists


async def past_events(
    settings: Settings, query: EventQuery, wants: Callable[[str, str | None], bool]
) -> AsyncGenerator[Event | RelayError | None]:
    """The events of a query, newest first: None for one that nobody wants, and why one cannot be read.

    `wants` is given the source and the type. Raises NotFound when there is no ledger, and Unusable and Unavailable.
    """
    block = settings.ledger
    if is_file(block.url) and not exists(Path(unquote(block.url.removeprefix("sqlite:///")))):
        raise NotFound(f"there is no ledger {block.url}, and no relay answers: start one, or name one with --url")
    terms = make_terms(settings, make_policy(settings), make_owner())
    ledger = await open_ledger(block.url, terms, vault=make_vault(settings), **block.access())
    try:
        while True:
            page = await ledger.events(query)
            for view in page.events:
                if not wants(view.source, view.type):
                    yield None
                    continue
                try:
                    yield await ledger.load(view.id)
                except Unavailable:
                    raise
                except RelayError as error:
                    yield error
            if page.cursor is None:
                return
            query = replace(query, cursor=page.cursor)
    finally:
        await ledger.aclose()
