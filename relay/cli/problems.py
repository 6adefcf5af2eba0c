"""`relay problems`: what goes wrong, grouped; acknowledge and resolve."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import warn
from relay.cli.options import AsJson, Config, Token, Url
from relay.cli.settings import complete_source
from relay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from relay.cli.client import Client


def problems(
    problem_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="With --acknowledge or --resolve: these problems; the end of an id is enough.",
            show_default=False,
        ),
    ] = None,
    acknowledge: Annotated[bool, typer.Option("--acknowledge", help="Note that you have seen them.")] = False,
    resolve: Annotated[bool, typer.Option("--resolve", help="Resolve them by hand.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only of this kind: rejections, failures, parked, ...")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only open, acknowledged or resolved ones; default: all that are not resolved.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.", autocompletion=complete_source)] = None,
    rule: Annotated[str | None, typer.Option(help="Only of this rule.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most problems to list.")] = 50,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List problems, what goes wrong in the same way, those opened last first; acknowledge or resolve them.

    Exit code 1 when one could not be acknowledged or resolved.
    """
    from relay.cli.client import connect

    if acknowledge and resolve:
        raise typer.BadParameter("give either --acknowledge or --resolve", param_hint="--resolve")
    if bool(problem_ids) != (acknowledge or resolve):
        raise typer.BadParameter("ids go with --acknowledge or --resolve; `relay problems` lists all", param_hint="ID")
    client = connect(url, token, config)
    if problem_ids:
        return _act(client, problem_ids, "acknowledge" if acknowledge else "resolve", as_json=as_json)
    filters = {"kind": kind, "state": state, "source": source, "rule": rule}
    found, more = _find(client, filters, limit)
    return _list(found, more, as_json=as_json)


def _find(client: "Client", filters: dict[str, str | None], limit: int) -> tuple[list[Any], str | None]:
    """Up to `limit` problems, and the cursor of the next one. Without a state: all that are not resolved."""
    found: list[Any] = []
    cursor = None
    while len(found) < limit:
        page = client.get("problems", **filters, cursor=cursor, limit=min(limit, 500))
        shown = [row for row in page["problems"] if filters["state"] or row["state"] != "resolved"]
        cursor = page["cursor"]
        if len(found) + len(shown) > limit:
            shown = shown[: limit - len(found)]
            cursor = shown[-1]["id"]
        found += shown
        if cursor is None:
            break
    return found, cursor


def _list(found: list[Any], cursor: str | None, *, as_json: bool) -> None:
    from relay.cli.output import print_json, print_line, print_table, short

    if as_json:
        return print_json({"problems": found, "cursor": cursor})
    if not found:
        return print_line("no problems")
    print_table(
        ["id", "kind", "about", "state", "count", "first", "last", "event"],
        [
            (
                *(row["id"], row["kind"], _about(row), row["state"], row["count"]),
                *(short(row["firstAt"]), short(row["lastAt"]), row["example"]["eventId"]),
            )
            for row in found
        ],
        spare=("first", "event"),
    )
    if cursor:
        print_line("there are more: ask for them with --limit, or narrow it down with --kind")
    return None


def _about(row: Any) -> str:
    return " ".join(row[name] for name in ("source", "rule", "code", "detail") if row[name] is not None)


def _act(client: "Client", problem_ids: list[str], verb: str, *, as_json: bool) -> None:
    from relay.cli.client import segment
    from relay.cli.output import print_json, print_table

    done, refused = [], False
    for problem_id in problem_ids:
        try:
            done.append(client.post(f"problems/{segment(problem_id)}/{verb}"))
        except (NotFound, Conflict) as error:
            refused = True
            warn(f"relay: {error}")
    if as_json:
        print_json({"problems": done})
    elif done:
        print_table(
            ["id", "kind", "about", "state"], [(row["id"], row["kind"], _about(row), row["state"]) for row in done]
        )
    if refused:
        raise typer.Exit(1)
