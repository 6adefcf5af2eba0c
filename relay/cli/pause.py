"""`relay pause` and `relay resume`: of a source, or of a rule."""

from enum import StrEnum
from typing import Annotated

import typer

from relay.cli.options import AsJson, Config, Token, Url


class Paused(StrEnum):
    """What can be paused."""

    SOURCE = "source"
    RULE = "rule"


What = Annotated[Paused, typer.Argument(metavar="source|rule", show_default=False, help="What to pause or to resume.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in the configuration.")]


def pause(
    what: What,
    name: Name,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Pause a source, which then takes in nothing, or a rule, whose new dispatches are then held.

    It holds on all replicas, and restarts do not end it.
    """
    _set(what, name, "pause", (url, token, config), as_json=as_json)


def resume(
    what: What,
    name: Name,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Resume a source or a rule. What the pause of a rule has held goes in order of arrival."""
    _set(what, name, "resume", (url, token, config), as_json=as_json)


def _set(what: Paused, name: str, verb: str, where: tuple[Url, Token, Config], *, as_json: bool) -> None:
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line

    done = connect(*where).post(f"{what}s/{segment(name)}/{verb}")
    if as_json:
        return print_json(done)
    return print_line(f"{what} {done['name']} is {'paused' if done['paused'] else 'resumed'}")
