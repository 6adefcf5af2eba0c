"""The headers that a sender would add to a body."""

from relay.schemes import Headers, Request, Scheme


def sign(scheme: Scheme, body: bytes, *, now: int, id: str, type: str | None = None, url: str = "") -> dict[str, str]:  # noqa: A002 - the words of the wire
    """Lower-case names with their values; `now` is milliseconds since the epoch."""
    return dict(scheme.sign(Request("POST", url, Headers(), body, now), id=id, type=type).headers.flat())
