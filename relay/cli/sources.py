"""`relay sources [SCHEME]`: lists the senders that Relay knows and how to set them up."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.options import AsJson
from relay.cli.verify import complete_scheme
from relay.errors import RelayError
from relay.units import show

if TYPE_CHECKING:
    from relay.schemes.entry import Vendor


def _complete_category(incomplete: str) -> list[str]:
    from relay.schemes.entry import CATEGORIES

    return [category for category in CATEGORIES if category.startswith(incomplete)]


def sources(
    scheme: Annotated[
        str | None,
        typer.Argument(metavar="[SCHEME]", help="Show this scheme in detail.", autocompletion=complete_scheme),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--category", help="Only this category: crm, helpdesk, ...", autocompletion=_complete_category),
    ] = None,
    url: Annotated[
        str, typer.Option("--url", help="The address of the source, to show in the steps.")
    ] = "https://<relay>/hooks/<source>",
    as_json: AsJson = False,
) -> None:
    """List the senders that Relay knows, or show how to set one up, step by step."""
    from relay.cli.output import print_json
    from relay.schemes import names, vendor

    if scheme is not None and scheme not in names():
        raise RelayError(f"there is no scheme {scheme!r}; {_near(scheme)}")
    chosen = [scheme] if scheme else sorted(names(), key=lambda name: (_order(vendor(name)), name))
    entries = {name: vendor(name) for name in chosen if category in {None, vendor(name).category}}
    if not entries:
        from relay.cli.words import near
        from relay.schemes.entry import CATEGORIES

        raise RelayError(f"there is no category {category!r}: {near(category or '', CATEGORIES)}")
    if as_json:
        return print_json([_show(name, entry) for name, entry in entries.items()])
    return _explain(scheme, entries[scheme], url) if scheme else _list(entries)


def _near(scheme: str) -> str:
    import difflib

    from relay.schemes import names

    close = difflib.get_close_matches(scheme, names(), 1)
    return f"did you mean {close[0]}?" if close else "`relay sources` lists them"


def _order(entry: "Vendor") -> int:
    from relay.schemes.entry import CATEGORIES

    return CATEGORIES.index(entry.category)


def _list(entries: "dict[str, Vendor]") -> None:
    from relay.cli.output import print_table

    rows = [(name, entry.name, entry.category, proof(entry), _needs(entry)) for name, entry in entries.items()]
    print_table(
        ["scheme", "sender", "category", "proof", "needs"], rows, whole=("scheme",), spare=("category", "needs")
    )


def _needs(entry: "Vendor") -> str:
    own = [key for key, option in entry.options.items() if option.required]
    secret = (
        []
        if entry.secret is None
        else ["secret" if entry.secret_required and not entry.learns else "secret (optional)"]
    )
    return ", ".join(secret + own) or "nothing"


def proof(entry: "Vendor") -> str:
    """How requests of a sender are verified, in a few words."""
    if entry.picks:
        return f"one of {', '.join(entry.picks)}"
    return " or ".join(dict.fromkeys(_way(form) for form in entry.proof)) or "HMAC by hand"


def _way(form: Any) -> str:
    where = getattr(form, "header", None) or getattr(form, "at", None) or getattr(form, "query", None)
    how = (
        getattr(form, "algorithm", None) or {"login": "basic or token", "token": "token", "nothing": "nothing"}[form.by]
    )
    return f"{how} in {where}" if where and form.by != "nothing" else how


def _explain(scheme: str, entry: "Vendor", url: str) -> None:
    from relay.cli.output import print_line, print_pairs, print_title

    delivery = entry.delivery
    print_title(f"{entry.name} (scheme {scheme})")
    print_pairs(
        [
            ("proof", proof(entry)),
            ("secret", entry.secret),
            *((key, option.says + (" (required)" if option.required else "")) for key, option in entry.options.items()),
            ("waits", delivery.deadline and f"{show(delivery.deadline)} for an answer"),
            ("tries again", delivery.retries),
            ("at once", delivery.batch),
            (
                "versions",
                ", ".join(entry.picks)
                and f"{', '.join(entry.accepts)}; `versions` names others of {', '.join(entry.picks)}",
            ),
        ]
    )
    print_title("Set it up")
    for number, step in enumerate(entry.setup, 1):
        print_line(f"{number}. {step.replace('{url}', url)}")
    for note in entry.notes:
        print_line(f"- {note}")
    print_title("Facts")
    for fact in entry.facts:
        print_line(fact)


def _show(name: str, entry: "Vendor") -> dict[str, Any]:
    return {
        "scheme": name,
        "name": entry.name,
        "category": entry.category,
        "proof": proof(entry),
        "secret": entry.secret,
        "options": {key: {"says": option.says, "required": option.required} for key, option in entry.options.items()},
        "versions": list(entry.picks),
        "accepts": list(entry.accepts),
        "deadlineMs": entry.delivery.deadline,
        "retries": entry.delivery.retries,
        "batch": entry.delivery.batch,
        "setup": list(entry.setup),
        "notes": list(entry.notes),
        "facts": list(entry.facts),
    }
