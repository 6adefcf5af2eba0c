"""`relay retry ID`: the next run of a dispatch."""

from relay.cli.acts import Ids, Parked, act
from relay.cli.options import DEFAULT_URL, AsJson, Token, Url


def retry(
    dispatch_ids: Ids = None,
    parked: Parked = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    as_json: AsJson = False,
) -> None:
    """Send again what ended without a chat, or is parked; one that may have a chat is looked for first."""
    act("retry", dispatch_ids or [], parked, url, token, as_json=as_json)
