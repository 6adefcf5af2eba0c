"""What pages say, and what a person can do on them by role."""

import pytest

from relay.model import EventStatus, Failure, Gauges, Held, HeldBy, ProblemKind, ProblemState, Replica, State
from relay.ops.console.live import MOST
from relay.telemetry import Phase
from tests.console.conftest import TOKENS
from tests.console.reading import Reader, csrf_in
from tests.ops.desk import (
    NOW,
    make_dispatch,
    make_event,
    make_failed,
    make_id,
    make_problem,
    make_rejection,
)

PAGES = [
    *("/", "/problems", "/events", "/events/0190-1", "/refused", "/sources", "/sources/helpdesk", "/rules"),
    *("/rules/urgent", "/results", "/usage", "/acts"),
]
ACTS = [
    ("/events/0190-1/replay", "/events/0190-1"),
    ("/dispatches/d-0190-1/retry", "/events/0190-1"),
    ("/dispatches/d-0190-1/cancel", "/events/0190-1"),
    ("/problems/p-1/acknowledge", "/problems"),
    ("/problems/p-1/resolve", "/problems"),
    ("/refused/helpdesk/readmit", "/refused"),
    ("/sources/helpdesk/sample", "/events/0190-1"),
]


@pytest.fixture(autouse=True)
def furnished(world):
    event, dispatch, attempts, told = make_failed(1)
    world.memory.add(event, dispatch, attempts=attempts, results=[told])
    world.memory.problem_rows = [make_problem(1)]
    world.memory.refused = [make_rejection(1, kept_until=NOW + 1)]


async def read(client, path, **given):
    answer = await client.get(path, headers={"Accept": "text/html"}, **given)
    return answer.status, await answer.text()


async def test_a_page_loads_our_own_files_only(console):
    for path in (*PAGES, "/nothing", "/events/none"):
        answer = await console.get(path, headers={"Accept": "text/html"})
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        page = Reader(await answer.text())
        assert not page.all("style")
        assert not any("style" in attrs or any(name.startswith("on") for name in attrs) for _, attrs in page.tags)
        loaded = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in {"script", "link"}]
        assert loaded
        for place in loaded:
            file = await console.get(place)
            assert (file.status, "immutable" in file.headers["Cache-Control"]) == (200, True)


async def test_an_act_is_asked_for_then_done_then_told(world, signed):
    client = await signed("operate")
    for path, back in ACTS:
        world.desk.bys.clear()
        status, text = await read(client, path)
        assert status == 200
        assert (await client.post(path, allow_redirects=False)).status == 403, "without the CSRF token"
        answer = await client.post(path, data={"csrf": csrf_in(text)}, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, back)
        shown = (await read(client, back))[1]
        assert 'class="notice"' in shown
        assert 'class="notice"' not in (await read(client, back))[1]
        if "problems" not in path:
            assert world.desk.bys[-1] == "operate"


async def test_who_may_only_read_is_offered_and_allowed_no_act(world, signed):
    client = await signed("read")
    csrf = csrf_in((await read(client, "/"))[1])
    shown = "".join([(await read(client, page))[1] for page in PAGES])
    for path, _ in ACTS:
        status, text = await read(client, path)
        assert (status, "has the role read; this needs operate" in text) == (403, True)
        assert (await client.post(path, data={"csrf": csrf})).status == 403
        assert f'href="{path}"' not in shown
    assert (world.desk.bys, world.memory.problem_rows[0].state) == ([], ProblemState.OPEN)


async def test_acts_are_offered_where_they_are_possible(world, signed):
    client = await signed("operate")
    text = (await read(client, "/events/0190-1"))[1]
    assert 'href="/dispatches/d-0190-1/retry"' in text
    assert 'href="/dispatches/d-0190-1/cancel"' not in text, "what has failed cannot be cancelled"
    event = make_event(2)
    world.memory.add(event, make_dispatch(event))
    assert "/dispatches/" not in (await read(client, "/events/0190-2"))[1]
    assert 'href="/refused/helpdesk/readmit"' in (await read(client, "/refused"))[1]


async def test_a_page_that_follows_an_event_is_sent_what_changed_alone(world, console, monkeypatch):
    event = make_event(2)
    world.memory.add(event, make_dispatch(event, state=State.READY))
    [follows] = [attrs for _, attrs in Reader((await read(console, "/events/0190-2"))[1]).tags if attrs.get("hx-get")]
    place = follows["hx-get"]

    async def refuse(_):
        raise AssertionError("why rules want it does not change, and takes long")

    monkeypatch.setattr(world.desk, "explain", refuse)
    assert await read(console, place) == (204, "")
    world.now += 90_000
    assert await read(console, place) == (204, ""), "that time goes by is no change"
    world.memory.add(event, make_dispatch(event, state=State.SENDING))
    status, text = await read(console, place)
    assert (status, "being sent" in text, place in text, "hx-get" in text) == (200, True, False, True)
    world.memory.add(event, make_dispatch(event, state=State.FAILED))
    assert "hx-get" not in (await read(console, place))[1], "what has ended is not followed"


@pytest.mark.parametrize("kind", ProblemKind)
async def test_a_problem_whose_cause_lasts_is_not_resolved_by_hand(world, console, kind):
    """The button, the question and the ledger agree."""
    problem = make_problem(1, kind=kind)
    world.memory.problem_rows = [problem]
    shown = (await read(console, "/problems"))[1] + (await read(console, "/"))[1]
    assert shown.count('href="/problems/p-1/acknowledge"') == 2
    status, text = await read(console, "/problems/p-1/resolve")
    if problem.why_not_resolved():
        assert ("/resolve" in shown, status, "which still lasts" in text) == (False, 409, True)
    else:
        assert (shown.count('href="/problems/p-1/resolve"'), status) == (2, 200)


@pytest.mark.parametrize("act", ["acknowledge", "resolve"])
async def test_nothing_is_asked_about_a_problem_that_is_over_or_not_there(world, console, act):
    assert (await read(console, f"/problems/none/{act}"))[0] == 404
    world.memory.problem_rows = [make_problem(1, state=ProblemState.RESOLVED)]
    status, text = await read(console, f"/problems/p-1/{act}")
    assert (status, "is resolved" in text) == (409, True)


async def test_boxes_that_are_ticked_are_obeyed(world, console):
    answer = await console.post("/dispatches/d-0190-1/retry", data={"render": "1"})
    assert (answer.status, world.desk.rendered) == (200, [True])
    text = await (await console.post("/events/0190-1/replay", data={"again": "1"})).text()
    assert "1 to be made, by urgent" in text


async def test_an_act_that_is_not_possible_says_why(world, console):
    event = make_event(2)
    world.memory.add(event, make_dispatch(event))
    answer = await console.post("/dispatches/d-0190-2/retry", headers={"Accept": "text/html"})
    assert answer.status == 409
    assert "only one that ended without a chat is retried" in await answer.text()


CASES = {
    State.DONE: "A chat was made, 30ms after the event came.",
    State.FAILED: "There is no chat.",
    State.WAITING: "it is tried again.",
    State.HELD: "It waits for its turn.",
}


async def test_the_first_thing_told_is_whether_there_is_a_chat(world, console):
    event = make_event(7)
    for state, told in CASES.items():
        chat = None if state is State.FAILED else "c-1"
        world.memory.add(event, make_dispatch(event, state=state, agent_uuid="a-1", chat_uuid=chat))
        page = (await read(console, "/events/0190-7"))[1]
        assert told in page
        assert told in (await read(console, "/events"))[1]
        assert ("https://app.example/workspaces/w/agents/a-1" in page) is (chat is not None)


async def test_a_follow_up_that_failed_is_not_told_as_a_chat_that_is_not_there(world, console):
    event, failure = make_event(7), Failure("refused", "the text is too long", 422)
    world.memory.add(event, make_dispatch(event, state=State.FAILED, failure=failure))
    told = "Its message could not be said in the chat of its thread: the text is too long (422)."
    assert told in (await read(console, "/events/0190-7"))[1]


async def test_the_end_of_a_dispatch_is_enough_for_its_request(world, console):
    for given in ("d-0190-1", "-0190-1"):
        answer = await console.get(f"/dispatches/{given}/request")
        assert (answer.status, await answer.json()) == (200, {"trigger": {"type": "draft"}})
    assert (await console.get("/dispatches/none/request")).status == 404


@pytest.mark.parametrize(("by", "offered"), [(HeldBy.DELAY, True), (HeldBy.LIMIT, True), (HeldBy.PAUSE, False)])
async def test_what_is_held_can_be_let_go_unless_its_rule_is_paused(world, console, by, offered):
    event = make_event(7)
    world.memory.add(event, make_dispatch(event, state=State.HELD, chat_uuid=None, held=Held(by, None, None, None)))
    assert ("/retry" in (await read(console, "/events/0190-7"))[1]) is offered


async def test_no_chat_has_its_reason(world, console):
    world.memory.add(make_event(8), status=EventStatus.UNMATCHED)
    assert "No chat: no rule matched it." in (await read(console, "/events/0190-8"))[1]


async def test_the_values_that_rules_used_are_marked(world, console):
    world.memory.add(make_event(9, data={"subject": "Hello", "other": "Hello again"}))
    text = (await read(console, "/events/0190-9"))[1]
    assert "<mark><bdi>&#34;Hello&#34;</bdi></mark>" in text
    assert "<mark><bdi>&#34;Hello again" not in text


async def test_a_large_body_is_cut_and_whole_elsewhere(world, console):
    data = {"text": "x" * 200_000}
    world.memory.add(make_event(5, data=data, raw=b"\xff\x00" * 10))
    text = (await read(console, "/events/0190-5"))[1]
    assert len(text) < 100_000
    assert "This is not all of it" in text
    raw = await console.get("/events/0190-5/raw")
    assert (await raw.read(), raw.content_type) == (b"\xff\x00" * 10, "application/octet-stream")
    assert "sandbox" in raw.headers["Content-Security-Policy"]


async def test_a_pause_is_said_first(world, aiohttp_client, make_console):
    """And never that all is well."""
    world.memory.numbers = Gauges(paused={"unauthorized": NOW}, held=3, due=17, parked={"unknown": 2})
    client = await aiohttp_client(make_console())
    text = (await read(client, "/"))[1]
    assert "Sending is paused" in text
    assert "Cargo refuses the token" in text
    assert "Working" not in text
    assert "See the failed events" in text
    assert "/events?rule=urgent&amp;status=failed" in text
    assert "Sending is paused" in (await read(client, "/refused"))[1], "on every page"


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
async def test_without_the_ledger_the_overview_shows_the_rest(world, console, phase):
    world.memory.away = True
    world.status.phase = phase
    status, text = await read(console, "/")
    assert status == 200
    for told in ("the database does not answer", f"the relay is {phase}", "crm.events"):
        assert told in text
    status, text = await read(console, "/events")
    assert (status, "the database does not answer" in text) == (503, True)


async def test_the_overview_names_the_replicas_and_versions_that_differ(world, console):
    world.memory.replica_rows = [Replica("<pod-1>", "1.2.3", NOW - 3_600_000, NOW - 4_000)]
    text = (await read(console, "/"))[1]
    assert "<bdi>&lt;pod-1&gt;</bdi>" in text
    assert ">1h ago</time>" in text
    assert ">4s ago</time>" in text
    assert "different versions" not in text
    world.memory.replica_rows.append(Replica("pod-2", "1.2.4", NOW, NOW))
    assert "different versions" in (await read(console, "/"))[1]
    shown = (await (await console.get("/api/replicas")).json())["replicas"]
    assert [(each["name"], each["version"]) for each in shown] == [("<pod-1>", "1.2.3"), ("pod-2", "1.2.4")]
    assert shown[0]["seenAt"] > shown[0]["startedAt"]


async def test_an_address_has_the_filters_that_say_something(world, console):
    answer = await console.get("/events?source=helpdesk&type=&status=", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/events?source=helpdesk")
    answer = await console.get("/events?text=Acme", allow_redirects=False)
    assert answer.headers["Location"] == "/events?text=Acme&since=24h"
    await read(
        console, "/events?source=helpdesk&type=t&status=parked&rule=r&subject=s&chat=c&label=a:b&text=x&since=1h"
    )
    query = world.memory.queries[-1]
    assert (query.source, query.type, query.state, query.rule) == ("helpdesk", "t", State.PARKED, "r")
    assert (query.subject, query.chat_uuid, query.label, query.text) == ("s", "c", ("a", "b"), "x")
    status, text = await read(console, "/events?typo=1")
    assert (status, "query parameter typo: unknown" in text) == (400, True)


async def test_a_list_goes_on_at_its_cursor(world, console):
    for number in range(2, 60):
        world.memory.add(make_event(number, id=make_id(number)))
    page = Reader((await read(console, "/events?source=helpdesk"))[1])
    [older] = [attrs["href"] for attrs in page.all("a") if attrs.get("rel") == "next"]
    assert older.startswith("/events?source=helpdesk&cursor=")
    text = (await read(console, older))[1]
    assert "Newest" in text
    assert 'rel="prev"' not in text, "the page before is the newest one"
    for number in range(60, 120):
        world.memory.add(make_event(number, id=make_id(number)))
    page = Reader((await read(console, older))[1])
    [newer] = [attrs["href"] for attrs in page.all("a") if attrs.get("rel") == "prev"]
    assert newer == f"/events?source=helpdesk&cursor={make_id(60)}"
    assert "data-live" not in text, "what is old is not live"


async def test_the_live_list_tells_how_many_came(world, console):
    world.now = 60_000  # ids of the tests are of long ago
    async with console.get(f"/events/live?source=helpdesk&after={make_id(1)}") as answer:
        assert answer.content_type == "text/event-stream"
        assert await anext(counts(answer)) == 0
        for number in range(2, 5):
            world.memory.add(make_event(number, id=make_id(number)))
        assert await anext(counts(answer)) == 3


async def test_a_flood_is_told_in_one_message_and_looked_at_no_more(world, console):
    """However many come a second, neither the browser nor the ledger has more to do."""
    world.now = 60_000
    async with console.get(f"/events/live?source=helpdesk&after={make_id(1)}") as answer:
        assert await anext(counts(answer)) == 0
        for number in range(2, 2_000):
            world.memory.add(make_event(number, id=make_id(number)))
        assert await anext(counts(answer)) == MOST
        asked = len(world.memory.queries)
        for number in range(2_000, 4_000):
            world.memory.add(make_event(number, id=make_id(number)))
        world.tokens["read"] = TOKENS["read"]  # which ends the stream of who has none
        assert [count async for count in counts(answer)] == []
        assert len(world.memory.queries) == asked


async def counts(answer):
    async for line in answer.content:
        if line.startswith(b"data: "):
            yield int(line[6:])


async def test_programs_are_told_of_trouble_in_json(console):
    answer = await console.get("/nothing")
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
