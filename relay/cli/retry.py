"""`relay retry ID`: the next run of a dispatch."""

from typing import Annotated

import typer

from relay.cli.acts import act
from relay.cli.options import DEFAULT_URL, AsJson, Token, Url


def retry(
    dispatch_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of dispatches.")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send again what ended without a chat, or is parked; one that may have a chat is looked for first."""
    act("retry", dispatch_ids, url, token, as_json=as_json)
