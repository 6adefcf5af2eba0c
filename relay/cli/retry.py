"""`relay retry ID`: the next run of a dispatch."""

from typing import Annotated

import typer

from relay.cli.acts import Ids, Parked, act
from relay.cli.options import AsJson, Config, Token, Url


def retry(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    render: Annotated[
        bool, typer.Option("--render", help="Render anew by today's rule; else the body that was kept is sent again.")
    ] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Send again what ended without a chat, or is parked; one that may have a chat is looked for first."""
    act("retry", dispatch_ids or [], parked, (url, token, config), as_json=as_json, body={"render": render})
