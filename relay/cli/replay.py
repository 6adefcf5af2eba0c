"""`relay replay`: matches one event, or all events of a time, with the current rules."""

from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, LabelFilter, Token, Url, read_label
from relay.cli.settings import complete_source


def replay(
    event_id: Annotated[
        str, typer.Argument(metavar="ID", help="The id of an event, or its end.", show_default=False)
    ] = "",
    again: Annotated[
        bool, typer.Option("--again", help="With ID: include rules that already made, or may have made, a chat.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="All events accepted since: 2026-11-23T09:00:00Z, or 24h for a day ago.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Accepted before this time; same format.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Only events of this source.", autocompletion=complete_source)
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Only chats of this rule.", show_default=False)] = None,
    label: LabelFilter = None,
    rate: Annotated[str | None, typer.Option(help="The most events in a time, as 5/s.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be made.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start the job and do not follow it.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Match an event, or with --since all events of a time, with the current rules.

    Rules that already made a chat are skipped. With --since it is a job that goes on in the relay, also without this
    command, and lets live work go first; `relay jobs` lists and cancels jobs. Exit code 1 when events failed.
    """
    from relay.cli.client import connect

    aim = {"since": since, "until": until, "source": source, "rule": rule, "rate": rate}
    if bool(event_id) == bool(since) or (event_id and (any(aim.values()) or label or dry_run or detach)):
        raise typer.BadParameter("give either the id of an event, or --since with what narrows it", param_hint="ID")
    if again and not event_id:
        raise typer.BadParameter("goes with the id of an event only", param_hint="--again")
    asked: dict[str, Any] = {name: value for name, value in aim.items() if value is not None}
    if label is not None:
        asked["label"] = read_label(label)
    client = connect(url, token, config)
    if event_id:
        return _replay_one(client, event_id, again=again, as_json=as_json)
    from relay.cli.jobs import follow

    job = client.post("jobs", {"kind": "replay", "dryRun": dry_run, **asked})
    return follow(client, job, detach=detach, as_json=as_json)


def _replay_one(client: Any, event_id: str, *, again: bool, as_json: bool) -> None:
    from relay.cli.client import segment
    from relay.cli.output import print_json, print_line, print_table

    document = client.post(f"events/{segment(event_id)}/replay", {"again": again})
    if as_json:
        print_json(document)
    elif document["dispatches"]:
        print_table(["id", "rule"], [(dispatch["id"], dispatch["rule"]) for dispatch in document["dispatches"]])
    else:
        print_line(
            "nothing to add: no rule made a new chat of it (`relay show` says why; --again makes again what is there)"
        )
