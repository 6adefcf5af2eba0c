"""`relay forget SOURCE`: the end of a secret that a handshake brought."""

import sys
from typing import Annotated

import typer

from relay.cli.options import AsJson, Config, SourceName, Token, Url


def forget(
    source: SourceName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Forget the secret that a handshake brought: what it signs is refused, and the next handshake's is taken."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line

    if not yes and sys.stdin.isatty():
        question = f"Refuse what {source} signs, and trust whoever sends the next handshake?"
        typer.confirm(question, abort=True, err=True)
    document = connect(url, token, config).post(f"sources/{segment(source)}/forget")
    if as_json:
        print_json(document)
    elif document["forgotten"]:
        print_line(f"forgotten; the next handshake of {source} brings the secret")
    else:
        print_line(f"nothing to forget: {source} has learned no secret")
