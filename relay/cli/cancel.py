"""`relay cancel ID`: the end of a dispatch."""

from typing import Annotated

import typer

from relay.cli.acts import act
from relay.cli.options import DEFAULT_URL, AsJson, Token, Url


def cancel(
    dispatch_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of dispatches.")],
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """End dispatches; one that is being sent ends once it is known to have no chat."""
    act("cancel", dispatch_ids, url, token, as_json=as_json)
