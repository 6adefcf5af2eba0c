"""What `relay retry` and `relay cancel` share: an operation on several dispatches, and which of them it refused."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import warn
from relay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from relay.cli.client import Client

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of dispatches; the end of one is enough.", show_default=False),
]
_NAMED: Final = re.compile(r"dispatch (\S+) ")


class ParkedReason(StrEnum):
    """The reason why dispatches are parked; `all` means any reason.

    The others are those of `ParkReason`, written here again because to load the model takes longer than a command.
    """

    ALL = "all"
    UNKNOWN = "unknown"
    GAVE_UP = "gave_up"
    BUDGET = "budget"
    LIMIT = "limit"
    LOOP = "loop"


Parked = Annotated[
    ParkedReason | None,
    typer.Option(
        "--parked", help="All dispatches that are parked for this reason, instead of ids.", show_default=False
    ),
]


def act(
    verb: str,
    dispatch_ids: Sequence[str],
    parked: ParkedReason | None,
    where: tuple[str | None, str | None, list[Path] | None],
    *,
    as_json: bool,
    body: dict[str, Any] | None = None,
) -> None:
    """POST `verb` with `body` for each dispatch and print the new states. The exit code is 1 when one is refused.

    `where` is the url, the token and the configuration files for connecting to the relay.
    """
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line, print_table

    if bool(dispatch_ids) == (parked is not None):
        raise typer.BadParameter("give either ids of dispatches or --parked with a reason", param_hint="ID")
    client = connect(*where)
    done, refused = [], False
    for dispatch_id in dispatch_ids if parked is None else list(_parked(client, parked)):
        try:
            done.append(client.post(f"dispatches/{segment(dispatch_id)}/{verb}", body))
        except (NotFound, Conflict) as error:
            refused = True
            # The message of a conflict begins with the whole id, also where only its end was given.
            named = _NAMED.match(str(error)) if isinstance(error, Conflict) else None
            advice = f"; `relay show {named[1]}` shows its state" if named else ""
            warn(f"relay: {error}{advice}")
    if as_json:
        print_json({"dispatches": done})
    elif done:
        print_table(
            ["id", "rule", "state", "run"], [(row["id"], row["rule"], row["state"], row["run"]) for row in done]
        )
    elif not refused:
        print_line("no dispatch is parked")
    if refused:
        raise typer.Exit(1)


def _parked(client: "Client", reason: ParkedReason) -> Iterator[str]:
    """The ids of parked dispatches. Read all of them before changing one, because a change moves the pages."""
    cursor = None
    while True:
        page = client.get("events", status="parked", limit=500, cursor=cursor)
        for event in page["events"]:
            for dispatch in event["dispatches"]:
                if dispatch["state"] == "parked" and reason.value in {"all", dispatch["parked"]}:
                    yield dispatch["id"]
        cursor = page["cursor"]
        if cursor is None:
            return
