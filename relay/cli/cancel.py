"""`relay cancel ID`: the end of a dispatch."""

from relay.cli.acts import Ids, Parked, act
from relay.cli.options import AsJson, Config, Token, Url


def cancel(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End dispatches; one that is being sent ends once it is known to have no chat."""
    act("cancel", dispatch_ids or [], parked, (url, token, config), as_json=as_json)
