"""`relay cancel ID`: cancels dispatches."""

from relay.cli.dispatches import Ids, Parked, act
from relay.cli.options import AsJson, Config, Token, Url


def cancel(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Cancel dispatches. A dispatch that is being sent is cancelled once it is known to have no chat."""
    act("cancel", dispatch_ids or [], parked, (url, token, config), as_json=as_json)
