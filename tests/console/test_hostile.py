"""Events are strangers' text: whatever is in them, pages show it as text, and all of it can be seen."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.model import Act, Failure, Labels, ProblemKind, ResultView, Skip, State, Usage, Why
from tests.console.reading import UNSEEN, Reader
from tests.ops.desk import NOW, make_dispatch, make_event, make_failed, make_problem, make_rejection

EVIL = [
    "<x-evil>",
    "\"'><x-evil onload=alert(1)>",
    "</script><x-evil>",
    "</pre></title></textarea><x-evil>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "\u2066\u2069\u200b\ufeff",
    "\x00\x1b[31m\x07\x85\x9b",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;x-evil&gt;&#x3c;x-evil>",
    "\U000e0001tag",
    "a" * 3_000,
]
TEXT = st.one_of(
    st.sampled_from(EVIL), st.lists(st.sampled_from(EVIL), max_size=4).map("".join), st.text(max_size=30)
).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
TREE = st.recursive(
    st.one_of(TEXT, st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)


def furnish(memory, text, tree):
    """A ledger in which every text that a stranger or Cargo can write is `text`."""
    memory.details.clear()
    _, failed, attempts, told = make_failed(1)
    named = dict.fromkeys(("type", "subject", "external_id", "origin", "correlation_id", "reply_to"), text)
    event = make_event(1, data=tree, raw=json.dumps(tree).encode(), headers={text: text}, content_type=text, **named)
    fault = Failure(text, text)
    dispatch = make_dispatch(
        event,
        id=failed.id,
        state=State.FAILED,
        name=text,
        chat_uuid=text,
        body=json.dumps({text: tree}),
        message=text,
        follow=text,
        failure=fault,
        duplicates=(text,),
        labels=Labels({"label": text}, {"other": text}),
    )
    attempts = [replace(attempt, failure=fault, chat_uuid=text) for attempt in attempts]
    result = ResultView(replace(told.result, routing_key=text), {text: text}, told.at, (text,))
    skip = Skip("urgent", Why.SHADOW, {text: tree})
    memory.add(event, dispatch, attempts=attempts, results=[result], skips=(skip,))
    rejection = make_rejection(1)
    changes = {"hint": text, "remote": text, "headers": {text: text}, "reason": text}
    memory.refused = [replace(rejection, rejection=replace(rejection.rejection, **changes))]
    ours = text[:200]  # ids and names of rules are of the operator, and short
    named = {"rule": ours, "chatUuid": text, "error": {"message": text}, "eventId": ours}
    memory.outbox = [replace(told.result, data={**told.result.data, **named})]
    memory.waiting_rows = [result]
    memory.act_rows = [Act("a-1", NOW, text, "rule.paused", ours, text)]
    memory.usage_rows = [Usage(NOW - NOW % 86_400_000, ours, 1, None, None)]
    memory.problem_rows = [make_problem(1, kind=ProblemKind.FAILURES, detail=text, code=text, source=text)]


PAGES = [
    *("/", "/events", "/problems", "/refused", "/events/0190-1", "/events/0190-1/became", "/events/0190-1/replay"),
    *("/sources", "/sources/helpdesk", "/rules", "/rules/urgent", "/results", "/usage", "/acts"),
]


async def check(console, path):
    answer = await console.get(path, headers={"Accept": "text/html"})
    text = await answer.text()
    assert answer.status == 200, text
    assert len(text) < 600_000
    assert not UNSEEN.search(text), f"{path}: {UNSEEN.search(text)}"
    page = Reader(text)
    assert not [tag for tag, _ in page.tags if "evil" in tag]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    places = [attrs[name] for _, attrs in page.tags for name in ("href", "src", "action") if attrs.get(name)]
    assert all(place.startswith(("/", "#", "https://app.example/")) for place in places)
    assert not any(place.startswith(("//", "/\\")) for place in places)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=TEXT, tree=TREE)
async def test_every_page_shows_it_as_text(world, console, text, tree):
    furnish(world.memory, text, tree)
    for path in PAGES:
        await check(console, path)


def nested(depth):
    tree = "\u202e<x-evil>"
    for _ in range(depth):
        tree = {"<x-evil>": [tree]}
    return tree


@pytest.mark.parametrize(
    "tree", [{"huge": "<x-evil>\u202e" * 110_000}, nested(99), [{"a": 1}] * 20_000], ids=["1 MiB", "deep", "long"]
)
async def test_neither_size_nor_depth_break_a_page(world, console, tree):
    furnish(world.memory, "\u202e<x-evil>" * 100_000, tree)
    for path in PAGES:
        await check(console, path)
