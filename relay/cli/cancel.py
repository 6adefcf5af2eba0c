"""`relay cancel ID`: the end of a dispatch."""

from relay.cli.acts import Ids, Parked, act
from relay.cli.options import DEFAULT_URL, AsJson, Token, Url


def cancel(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """End dispatches; one that is being sent ends once it is known to have no chat."""
    act("cancel", dispatch_ids or [], parked, url, token, as_json=as_json)
