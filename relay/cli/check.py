"""`relay check`: is the configuration right?"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import complain, warn
from relay.cli.options import AsJson, Config
from relay.errors import Misconfigured

if TYPE_CHECKING:
    from relay.app.online import Finding
    from relay.config import Loaded


def check(
    config: Config = None,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask the ledger and the broker; variables must be set.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Validate the configuration, also where its secrets are not set; exit code 1 with every fault.

    With --json each of `findings` has its severity, file, line, column, key, message and hint.
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
    found = _ask(loaded) if online else []
    faults = [str(finding) for finding in found if finding.fault]
    warnings = [*loaded.warnings, *(str(finding) for finding in found if not finding.fault)]
    document = _document(loaded, faults, warnings)
    if as_json:
        print_json(document)
    else:
        _print(document, loaded.settings.cargo.base_url)
    if faults:
        raise typer.Exit(1)


def _ask(loaded: "Loaded") -> "list[Finding]":
    import asyncio

    from relay.app import check_online
    from relay.telemetry import configure

    configure("critical")  # what the parts would log on the way is found and told here
    return asyncio.run(check_online(loaded.settings))


def _document(loaded: "Loaded", faults: list[str], warnings: list[str]) -> dict[str, Any]:
    settings = loaded.settings
    return {
        "ok": not faults,
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
    }


def _finding(severity: str, line: str) -> dict[str, Any]:
    from relay.config.fault import describe

    return {"severity": severity, **describe(line)}


def _print(document: dict[str, Any], base_url: str) -> None:
    from relay.cli.output import print_line

    for warning in document["warnings"]:
        print_line(f"warning: {warning}")
    print_line(f"{', '.join(document['files'])}: {'no faults' if document['ok'] else 'well formed'}")
    if document["proxy"] is not None:
        print_line(f"Cargo at {base_url} is reached by the proxy {document['proxy']}")
    for kind in ("sources", "rules"):
        print_line(f"{kind} ({len(document[kind])}): {', '.join(document[kind]) or '-'}")
    if faults := document["faults"]:
        for fault in faults:
            warn(fault)
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        complain(f"the servers show {count}; fix what is listed above", 1)
