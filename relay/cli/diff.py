"""`relay diff`: the files here against what a running relay has in force."""

import json
from typing import TYPE_CHECKING, Any, Final

import typer

from relay.cli.guard import complain, warn
from relay.cli.options import AsJson, Config, Token, Url
from relay.errors import Misconfigured, RelayError

if TYPE_CHECKING:
    from relay.config import Difference

_ERROR: Final = 2


def diff(config: Config = None, url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Compare the files here with what a running relay has in force; exit code 1 when they differ, 2 on errors.

    Secrets are compared and never shown. What is not set here (a variable) is not compared, and named.
    """
    from relay.cli.output import print_json

    try:
        document, differences = _compare(config, url, token)
    except Misconfigured as error:
        for fault in error.faults:
            warn(fault)
        complain("the configuration here has faults; `relay check` explains them", _ERROR)
    except RelayError as error:
        complain(str(error), _ERROR)
    if as_json:
        print_json(document)
    else:
        _print(document, differences)
    if not document["equal"]:
        raise typer.Exit(1)


def _compare(config: Config, url: Url, token: Token) -> "tuple[dict[str, Any], tuple[Difference, ...]]":
    from relay.cli.client import connect
    from relay.cli.settings import load
    from relay.config import compare, describe

    loaded = load(config, strict=False, trust=False)
    there = connect(url, token, config).get("config")
    if loaded.digest == there["hash"]:
        return _document(loaded.digest, there, (), ()), ()
    differences, skipped = compare(there, describe(loaded.settings), loaded.unset)
    return _document(loaded.digest, there, differences, skipped), differences


def _document(
    digest: str, there: dict[str, Any], differences: "tuple[Difference, ...]", skipped: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "equal": not differences,
        "here": digest,
        "inForce": there["hash"],
        "differences": [
            {
                "key": difference.key,
                "change": difference.change,
                "inForce": difference.old,
                "here": difference.new,
                "restart": _is_within(difference.key, there["restart"]),
            }
            for difference in differences
        ],
        "notCompared": list(skipped),
    }


def _is_within(key: str, names: list[str]) -> bool:
    """Whether a key is one of these, or in one of these blocks."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _print(document: dict[str, Any], differences: "tuple[Difference, ...]") -> None:
    from relay.cli.output import print_line
    from relay.config import summarize

    changes = {change.key: change.change for change in summarize(differences)}
    shown = None
    for row in document["differences"]:
        key = row["key"]
        whole = next((name for name in changes if key == name or key.startswith(f"{name}.")), key)
        if whole != shown:
            note = "  (waits for a restart)" if row["restart"] else ""
            print_line(f"{changes.get(whole, row['change'])} {whole}{note}")
            shown = whole
        for line in _lines(row, "" if key == whole else key.removeprefix(f"{whole}.")):
            print_line(f"  {line}")
    if skipped := document["notCompared"]:
        warn(f"relay: not compared, because a secret or a variable here is not that of the relay: {', '.join(skipped)}")
    if document["equal"]:
        print_line(f"equal; configuration {document['inForce']} is in force")
    else:
        print_line(f"- in force ({document['inForce']}), + here ({document['here']})")


def _lines(row: dict[str, Any], name: str) -> list[str]:
    """What is in force with -, what is here with +; of a secret only that it is another."""
    label = f"{name}: " if name else ""
    before, after = row["inForce"], row["here"]
    if before is None and after is None:
        return [f"~ {label}another secret"]
    return [f"{sign} {label}{_text(value)}" for sign, value in (("-", before), ("+", after)) if value is not None]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
