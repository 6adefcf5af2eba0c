"""`relay forget SOURCE`: forgets the secret that a handshake brought."""

import sys
from typing import Annotated

import typer

from relay.cli.options import AsJson, Config, SourceName, Token, Url


def forget(
    source: SourceName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Forget the secret that a handshake brought. Its signatures are refused, and the next handshake sets a new one."""
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line

    if not yes and sys.stdin.isatty():
        question = f"Refuse all requests of {source} and trust the sender of the next handshake?"
        typer.confirm(question, abort=True, err=True)
    document = connect(url, token, config).post(f"sources/{segment(source)}/forget")
    if as_json:
        print_json(document)
    elif document["forgotten"]:
        print_line(f"forgotten; the next handshake of {source} sets the secret")
    else:
        print_line(f"nothing to forget: {source} has learned no secret")
