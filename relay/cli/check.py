"""`relay check`: is the configuration right?"""

from typing import TYPE_CHECKING, Any

import typer

from relay.cli.guard import clean
from relay.cli.options import AsJson, Config
from relay.errors import Misconfigured

if TYPE_CHECKING:
    from relay.config import Loaded


def check(config: Config = None, as_json: AsJson = False) -> None:
    """Validate the configuration, also where its secrets are not set; exit code 1 with every fault."""
    from relay.cli.output import print_json
    from relay.cli.settings import load

    try:
        loaded = load(config, strict=False, trust=True)
    except Misconfigured as error:
        if not as_json:
            raise
        print_json({"ok": False, "faults": list(error.faults), "warnings": []})
        raise typer.Exit(1) from None
    if as_json:
        print_json(_document(loaded))
    else:
        _print(loaded)


def _document(loaded: "Loaded") -> dict[str, Any]:
    settings = loaded.settings
    return {
        "ok": True,
        "faults": [],
        "warnings": list(loaded.warnings),
        "files": [str(path) for path in loaded.files],
        "digest": loaded.digest,
        "proxy": None if loaded.proxy is None else str(loaded.proxy),
        "sources": list(settings.sources),
        "rules": [rule.name for rule in settings.rules],
    }


def _print(loaded: "Loaded") -> None:
    from relay.cli.output import print_line

    for warning in loaded.warnings:
        print_line(clean(f"warning: {warning}"))
    found = _document(loaded)
    print_line(f"{', '.join(found['files'])}: no faults")
    if found["proxy"] is not None:
        print_line(clean(f"Cargo at {loaded.settings.cargo.base_url} is reached by the proxy {found['proxy']}"))
    for kind in ("sources", "rules"):
        print_line(f"{kind} ({len(found[kind])}): {', '.join(found[kind]) or '-'}")
