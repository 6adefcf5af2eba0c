"""`relay doctor`: one page of judgement about a running relay, or about what files name."""

from typing import Annotated, Any

import typer

from relay.cli.options import AsJson, Config, Token, Url


def doctor(
    files: Annotated[
        bool,
        typer.Option("--files", help="Examine what the files of --config name, from here, instead of a running relay."),
    ] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what is well and what is not, line by line: ok, look (worth a look) or act (needs a person), and what to do.

    The exit code is 1 with an `act`. Without --files it asks a running relay, which knows more.
    """
    from relay.cli.output import print_json

    report = _examine(config) if files else _ask(url, token, config)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if any(line["verdict"] == "act" for line in report["lines"]):
        raise typer.Exit(1)


def _ask(url: str | None, token: str | None, config: Config) -> Any:
    from relay.cli.client import connect

    return connect(url, token, config).get("doctor")


def _examine(config: Config) -> dict[str, Any]:
    import asyncio
    import time
    from dataclasses import asdict

    from relay.app import examine_files
    from relay.cli.settings import load
    from relay.telemetry import configure
    from relay.units import iso

    loaded = load(config, strict=True)
    configure("critical", is_final=False)  # the parts would log the same faults that the lines tell
    lines = asyncio.run(examine_files(loaded.settings, loaded.proxy))
    return {"at": iso(time.time_ns() // 1_000_000), "lines": [asdict(line) for line in lines]}


def _print(report: Any) -> None:
    from relay.cli.output import print_line, print_table

    rows = [(line["verdict"], line["check"], line["what"], line["todo"]) for line in report["lines"]]
    print_table(["verdict", "check", "what", "to do"], rows, whole=("verdict", "check"))
    counts = {verdict: sum(row[0] == verdict for row in rows) for verdict in ("act", "look", "ok")}
    print_line(f"{report['at']}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
