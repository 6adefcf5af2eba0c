"""config/senders.md, made from the vendors' entries: `python -m tests.docs.senders` writes it."""

from collections.abc import Iterator
from pathlib import Path

from relay.cli.sources import proof
from relay.schemes import names, options, vendor
from relay.schemes.cover import covers
from relay.schemes.entry import CATEGORIES, Jwt, Signature, Vendor
from relay.units import show

PAGE = Path(__file__).parents[2] / "config/senders.md"
HEAD = """\
# Senders

Every scheme that Relay knows, from the entries in [relay/schemes/vendors](../relay/schemes/vendors), of which this page
is made. `relay sources SCHEME` says how to set one up, step by step, and names the pages that its facts come from;
`relay init SCHEME` writes a first configuration; `relay verify SCHEME` judges one captured request.

The keys `secret` (or `secrets`), `event`, `cloudevents`, `cut`, `replay`, `xml_lists` and `keep_rejected` belong to
every webhook source. An event's id is what the vendor repeats when it sends again: of several places the first that is
there. *hash* is the SHA-256 of the canonical body, where the vendor gives nothing better; *none* means that a repeat
counts as a new event. *+ signed*: the id is not signed, so that what is signed is remembered beside it (`replay:
refuse`), or that and the type (`replay: type`); *repeats*: honest events repeat a body (`replay: allow`).
"""
TITLES = {"crm": "CRM", "generic": "Anybody else"}


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(line for category in CATEGORIES for line in _category(category))]).rstrip() + "\n"


def _category(category: str) -> Iterator[str]:
    found = sorted(name for name in names() if vendor(name).category == category)
    yield f"## {TITLES.get(category, category.capitalize())}\n"
    yield "| scheme | sender | proves itself by | its own keys | event id | event type | waits, tries again |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in found:
        yield _row(name, vendor(name))
    yield ""


def _row(name: str, entry: Vendor) -> str:
    own = " ".join(f"`{key}`" for key in sorted(options(name)))
    cells = (f"`{name}`", entry.name, proof(entry), own, _id(entry), _places(entry.event.type), _delivery(entry))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _id(entry: Vendor) -> str:
    if entry.picks:
        return "that of the version"
    last = "hash" if entry.event.hash and entry.category != "generic" else "none"
    told = f"{_places([one.at for one in entry.event.id])}, else *{last}*" if entry.event.id else f"*{last}*"
    return f"{told} {_guard(entry)}".rstrip()


def _guard(entry: Vendor) -> str:
    """What is known beside the id, where that is not signed."""
    forms = [form for form in entry.proof if isinstance(form, Signature | Jwt) and not getattr(form, "id", None)]
    open_ = [form for form in forms if not all(covers(form, entry.event)[:-1])]
    if entry.replay == "allow":
        return "*repeats*"
    if not open_ or not any(isinstance(form, Signature) for form in open_):
        return ""
    return "*+ signed, type*" if entry.replay == "type" else "*+ signed*"


def _places(texts: tuple[str, ...]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _delivery(entry: Vendor) -> str:
    delivery = entry.delivery
    told = [
        delivery.deadline and show(delivery.deadline),
        delivery.retries,
        delivery.batch and f"at once: {delivery.batch}",
    ]
    return "; ".join(one for one in told if one)


if __name__ == "__main__":
    PAGE.write_text(render())
