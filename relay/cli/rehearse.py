"""`relay rehearse NEW.yaml`: what other rules would have made of the events of the past."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import Unreachable, complain, warn
from relay.cli.options import AsJson, Config, LabelFilter, Token, Url, read_label
from relay.cli.settings import complete_source
from relay.errors import Misconfigured, RelayError

if TYPE_CHECKING:
    from relay.app import Rehearsal
    from relay.model import Event
    from relay.rules import RuleSet

_ERROR: Final = 2
_SHOWN: Final = 100
"""Events after which the progress line changes."""


def rehearse(
    new: Annotated[
        list[Path], typer.Argument(metavar="NEW", help="The configuration with the new rules; files or a folder.")
    ],
    since: Annotated[
        str, typer.Option(help="Events received since: 2026-11-23T09:00:00Z, or 7d for a week ago.")
    ] = "7d",
    until: Annotated[
        str | None, typer.Option(help="Received before this time; same format.", show_default=False)
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Only events of this source.", autocompletion=complete_source)
    ] = None,
    label: LabelFilter = None,
    fail_on_change: Annotated[bool, typer.Option("--fail-on-change", help="Exit with 1 on a difference.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare what new rules make of past events with what the rules in force make of them. Nothing is sent.

    Events and the rules in force are those of a running relay, else of the ledger and the files of --config. What rules
    ask the ledger (once, debounce, ...) is not judged, and named. Exit code 2 on errors.
    """
    import asyncio

    from relay.cli.output import print_json

    filters = {"since": since, "until": until, "source": source, "label": label and read_label(label)}
    try:
        made = asyncio.run(_rehearse(_load(new), filters, config, url, token))
    except Misconfigured as error:
        for fault in error.faults:
            warn(fault)
        complain("a configuration has faults; `relay check` explains them", _ERROR)
    except RelayError as error:
        complain(str(error), _ERROR)
    document = {"since": since, "until": until, **made.document()}
    if as_json:
        print_json(document)
    else:
        _print(document)
    if fail_on_change and any(document[kind] for kind in ("more", "fewer", "changed")):
        raise typer.Exit(1)


def _load(new: list[Path]) -> "RuleSet":
    from relay.app import make_rules
    from relay.cli.settings import load

    loaded = load(new, strict=False)
    for warning in loaded.warnings:
        warn(f"relay: warning: {warning}")
    return make_rules(loaded.settings)


async def _rehearse(
    new: "RuleSet", filters: dict[str, Any], config: list[Path] | None, url: str | None, token: str | None
) -> "Rehearsal":
    from contextlib import aclosing

    from relay.app import Rehearsal, rules_of_document
    from relay.cli.client import connect
    from relay.cli.past import api_events
    from relay.cli.progress import Progress

    client = connect(url, token, config)
    try:
        [there] = await client.get_all([("config", {})])
    except Unreachable as error:
        if url:
            raise
        made, past = _from_ledger(new, filters, config, error)
    else:
        if there is None:
            raise RelayError(f"the relay at {client.url} does not tell its configuration: it is of an older release")
        made = Rehearsal(rules_of_document(there["settings"]), new)
        past = api_events(client, filters, made.wants)
    progress = Progress()
    try:
        async with aclosing(past) as events:
            async for event in events:
                made.take(event)
                if made.events % _SHOWN == 0:
                    progress.show(f"{made.events:,} events rehearsed")
    finally:
        progress.end()
    return made


def _from_ledger(
    new: "RuleSet", filters: dict[str, Any], config: list[Path] | None, error: Unreachable
) -> "tuple[Rehearsal, AsyncGenerator[Event | RelayError | None]]":
    """The rules of the files and the events of their ledger, where no relay runs."""
    from relay.app import Rehearsal, make_rules, past_events
    from relay.app.clock import wall
    from relay.cli.settings import find_any, load
    from relay.ops.ask import EventsAsk

    if not find_any(config):
        raise error
    loaded = load(config, strict=True)
    warn(f"relay: {str(error).partition(';')[0]}: events are read from {loaded.settings.ledger.url}")
    made = Rehearsal(make_rules(loaded.settings), new)
    query = EventsAsk(**{name: value for name, value in filters.items() if value is not None}, limit=500).query(wall())
    return made, past_events(loaded.settings, query, made.wants)


def _print(document: dict[str, Any]) -> None:
    from relay.cli.output import print_line, print_pairs, print_table, print_title

    unread = f"; {document['unread']:,} cannot be read" if document["unread"] else ""
    print_line(f"{document['events']:,} events since {document['since']}{unread}")
    print_line(f"chats: {document['today']:,} by the rules in force, {document['new']:,} by the new ones")
    counts = ("today", "new", "more", "fewer", "changed")
    if document["rules"]:
        rows = [(row["rule"], *(row[name] for name in counts)) for row in document["rules"]]
        print_table(["rule", *counts], rows, whole=("rule",))
    for row in document["rules"]:
        for example in row["examples"]:
            count = f"{row[example['kind']]:,} {example['kind']}"
            print_title(f"rule {row['rule']}: {count}, for example of event {example['eventId']}")
            print_pairs([("why", example["why"]), ("chat", example["diff"])])
    for left in document["notJudged"]:
        print_line(f"not judged of rule {left['rule']}, because the ledger decides it: {', '.join(left['keys'])}")
    if not any(document[kind] for kind in ("more", "fewer", "changed")):
        print_line("no difference")
