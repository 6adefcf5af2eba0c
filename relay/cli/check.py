"""`relay check`: validates the configuration."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import complain, warn
from relay.cli.options import AsJson, Config
from relay.errors import Misconfigured

if TYPE_CHECKING:
    from relay.config import Loaded


def check(
    config: Config = None,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the ledger, the broker and Cargo; variables must be set.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Validate the configuration, even when its secrets are not set, and run the tests beside its rules.

    The exit code is 1 when the configuration has faults or a test fails. With --json each of `findings` has a
    severity, file, line, column, key, message and hint, and each of `tests` a name, place and differences.
    """
    from relay.cli.output import print_json
    from relay.cli.settings import load

    try:
        loaded = load(config, strict=online, trust=True, examples=False)
    except Misconfigured as error:
        if not as_json:
            raise
        findings = [_finding("fault", fault) for fault in error.faults]
        print_json({"ok": False, "faults": list(error.faults), "warnings": [], "findings": findings})
        raise typer.Exit(1) from None
    faults, doubts = _ask(loaded) if online else ([], [])
    document = _document(loaded, faults, [*loaded.warnings, *doubts], _run(loaded))
    if as_json:
        print_json(document)
    else:
        _print(document, loaded.settings.cargo.base_url)
    if not document["ok"]:
        raise typer.Exit(1)


def _ask(loaded: "Loaded") -> tuple[list[str], list[str]]:
    """What the servers say is wrong, and what is perhaps not meant: lines with their places."""
    import asyncio

    from relay.app import check_online
    from relay.config import locate
    from relay.telemetry import configure

    configure("critical", is_final=False)  # the parts would log the same faults that this command reports
    found = asyncio.run(check_online(loaded.settings, loaded.proxy))
    faults, doubts = (
        locate(loaded.origin, [(each.place, each.what) for each in found if each.fault is is_fault])
        for is_fault in (True, False)
    )
    return [*faults], [*doubts]


def _run(loaded: "Loaded") -> list[dict[str, Any]]:
    """The tests beside the rules, each with its differences."""
    if not loaded.tests:
        return []
    from relay.app import run_tests
    from relay.telemetry import configure

    configure("critical", is_final=False)  # what goes wrong with a rule is in the differences
    outcomes = run_tests(loaded.settings, loaded.tests)
    return [
        {"name": each.name, "place": each.place, "passed": each.passed, "diff": list(each.diff)} for each in outcomes
    ]


def _document(loaded: "Loaded", faults: list[str], warnings: list[str], tests: list[dict[str, Any]]) -> dict[str, Any]:
    settings = loaded.settings
    return {
        "ok": not faults and all(test["passed"] for test in tests),
        "faults": faults,
        "warnings": warnings,
        "findings": [
            *(_finding("fault", fault) for fault in faults),
            *(_finding("warning", warning) for warning in warnings),
        ],
        "files": [str(path) for path in loaded.files],
        "digest": loaded.digest,
        "proxy": None if loaded.proxy is None else str(loaded.proxy),
        "sources": list(settings.sources),
        "rules": [rule.name for rule in settings.rules],
        "tests": tests,
    }


def _finding(severity: str, line: str) -> dict[str, Any]:
    from relay.config.fault import describe

    return {"severity": severity, **describe(line)}


def _print(document: dict[str, Any], base_url: str) -> None:
    from relay.cli.output import print_line

    for warning in document["warnings"]:
        print_line(f"warning: {warning}")
    print_line(f"{', '.join(document['files'])}: {'well formed' if document['faults'] else 'no faults'}")
    if document["proxy"] is not None:
        print_line(f"Cargo at {base_url} is reached through the proxy {document['proxy']}")
    for kind in ("sources", "rules"):
        print_line(f"{kind} ({len(document[kind])}): {', '.join(document[kind]) or '-'}")
    failed = [test for test in document["tests"] if not test["passed"]]
    if document["tests"]:
        print_line(f"tests ({len(document['tests'])}): {f'{len(failed)} failed' if failed else 'all passed'}")
    for test in failed:
        warn(f"{test['place']}: test failed: {test['name']}")
        for line in test["diff"]:
            warn(f"    {line}")
    if faults := document["faults"]:
        for fault in faults:
            warn(fault)
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        complain(f"the servers report {count}; fix what is listed above", 1)
    elif failed:
        count = "one test failed" if len(failed) == 1 else f"{len(failed)} tests failed"
        complain(f"{count}; fix the rules, or what the tests expect", 1)
