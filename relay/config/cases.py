"""Checks of the tests beside rules: that they speak of sources and rules that are there."""

from relay.config.draft import Draft
from relay.config.fault import near
from relay.config.tree import Path, find


def check_tests(draft: Draft) -> None:
    """Adds the faults of names that are none."""
    known = {rule.name for rule in draft.rules.values()}
    for number, case in draft.tests.items():
        path: Path = ("tests", number)
        _check_source(draft, path, case.source)
        for each, given in enumerate(case.before):
            _check_source(draft, (*path, "before", each), given.source)
        if not draft.whole("rules"):
            continue  # the rule may be one that cannot be read
        for key, names in case.expect.named().items():
            for place, name in enumerate(names):
                inner = (*path, "expect", key)
                places: tuple[Path, ...] = ((*inner, place), (*inner, name))
                aimed = next((at for at in places if find(draft.root, at) is not None), inner)
                if name not in known and not draft.opaque(*path, "expect"):
                    draft.fault(aimed, f"{name!r} is not a rule: {near(name, known)}")


def _check_source(draft: Draft, path: Path, name: str) -> None:
    if draft.whole("sources") and name not in draft.sources and not draft.opaque(*path, "source"):
        draft.fault((*path, "source"), f"{name!r} names no source: {near(name, draft.sources)}")
