"""`relay retry ID`: starts the next run of dispatches."""

from typing import Annotated

import typer

from relay.cli.dispatches import Ids, Parked, act
from relay.cli.options import AsJson, Config, Token, Url


def retry(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    render: Annotated[
        bool, typer.Option("--render", help="Render again with the current rule; default: send the stored body again.")
    ] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Retry dispatches that ended without a chat, are parked or held. A chat that may exist is searched for first."""
    act("retry", dispatch_ids or [], parked, (url, token, config), as_json=as_json, body={"render": render})
