"""The pages of sources, rules, results, usage and acts: what they show, what they do, and for whom."""

import re
from dataclasses import replace
from html import unescape
from urllib.parse import urlencode

import pytest

from relay.model import Act, Measured, ResultView, Usage
from tests.console.reading import UNSEEN, Reader, outside_fields
from tests.ops.desk import NOW, make_event, make_rejection, make_result, make_verdict

PAGES = ("/sources", "/sources/helpdesk", "/sources/crm-bus", "/rules", "/rules/urgent", "/results", "/usage", "/acts")
HOSTILE = "<script>alert(1)</script>\"'&\x00\x1b[31m\u202e\u2066" + "x" * 3_000
DAY = 86_400_000


@pytest.fixture
def memory(world):
    return world.memory


@pytest.fixture
def desk(world):
    return world.desk


@pytest.fixture
def http(console):
    return console


async def get(http, path, status=200):
    answer = await http.get(path, headers={"Accept": "text/html"})
    assert answer.status == status, await answer.text()
    return await answer.text()


def refuse(number, *, kept_until=None, **changes):
    view = make_rejection(number, kept_until=kept_until)
    return replace(view, rejection=replace(view.rejection, **changes))


def words(page):
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def typed_into(page):
    """What the text areas of a page hold for a browser, which leaves out a line break at their start."""
    found = re.findall(r'<textarea name="(\w+)"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL)
    return {name: unescape(value) for name, value in found}


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_says_so_where_there_is_nothing_and_is_in_the_navigation(http, path):
    page = await get(http, path)
    place = "/" + path.split("/")[1]
    assert f'<a href="{place}" aria-current="page">' in page
    assert "<script>" not in page.replace('<script src="', "")
    assert " style=" not in page


async def test_a_source_shows_how_it_is_set_up_and_what_came(http, memory):
    memory.add(make_event(1))
    memory.rate_rows = [Measured(NOW - NOW % 900_000, {"accepted": 7, "refused": 2, "took_0": 1})]
    page = await get(http, "/sources/helpdesk")
    shown = words(page)
    assert "Set it up at Zendesk" in shown
    assert "https://<your relay>/hooks/helpdesk" in shown
    assert 'aria-label="accepted: 7 in' in page
    assert "/events/0190-1" in page
    assert "there is no source" in words(await get(http, "/sources/none", 404))


async def test_a_rule_shows_what_it_holds_and_how_it_is_written(http):
    page = await get(http, "/rules/urgent")
    shown = words(page)
    assert "name: urgent" in shown
    assert 'href="/events?rule=urgent&amp;status=held">3</a>' in page
    assert "skipped: ignored" in shown
    assert "ignored 2" in words(await get(http, "/rules"))


@pytest.mark.parametrize(("what", "name"), [("rules", "urgent"), ("sources", "helpdesk")])
async def test_pausing_asks_first_and_leads_back(http, desk, what, name):
    assert "on all replicas" in await get(http, f"/{what}/{name}/pause")
    assert desk.paused == set()
    for verb, paused in (("pause", {name}), ("resume", set())):
        answer = await http.post(f"/{what}/{name}/{verb}", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, f"/{what}/{name}")
        assert desk.paused == paused
        assert (">Resume<" if paused else ">Pause<") in await get(http, f"/{what}/{name}")


async def test_a_sample_is_sent_and_what_became_of_it_is_shown(http):
    assert "Rule urgent makes a chat at Cargo. Chats at Cargo are real" in words(
        await get(http, "/sources/helpdesk/sample")
    )
    answer = await http.post("/sources/helpdesk/sample", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/events/0190-1")
    answer = await http.post("/sources/crm-bus/sample", headers={"Accept": "text/html"})
    assert (answer.status, "is a queue" in await answer.text()) == (409, True)


SKIPPED = {"rule": "urgent", "why": "sampled", "detail": "0.7"}
HELD = {"by": "pause", "key": None, "until": None, "cause": None}
VERDICTS = [
    ("makes a chat at Cargo.", make_verdict("urgent"), True),
    ("sends a message in the chat c-1.", make_verdict("urgent", now={"state": "messaging", "chatUuid": "c-1"}), True),
    (
        "matches, and is held by pause: it makes a chat when that lets it go.",
        make_verdict("urgent", now={"state": "held", "held": HELD}),
        True,
    ),
    (
        "matches, but makes no chat: it would be suppressed: it was made before.",
        make_verdict("urgent", now={"state": "suppressed", "why": "it was made before."}),
        False,
    ),
    ("matches and skips it (sampled), so it makes no chat.", make_verdict("urgent", now=None, skip=SKIPPED), False),
    (
        "matches and skips it (sampled), so it makes no chat.",
        make_verdict("urgent", now={"state": None, "skip": SKIPPED}),
        False,
    ),
    (
        "matches, but makes no chat: data.x is missing.",
        make_verdict("urgent", now=None, failure={"code": "render", "message": "rule urgent: data.x is missing"}),
        False,
    ),
]


@pytest.mark.parametrize(("told", "verdict", "real"), VERDICTS)
async def test_a_sample_is_asked_for_with_what_each_rule_would_do(http, desk, told, verdict, real):
    desk.foretold = {"events": [{"event": {}, "rules": [verdict, make_verdict("other", matched=False, now=None)]}]}
    shown = words(await get(http, "/sources/helpdesk/sample"))
    assert f"Rule urgent {told}" in shown
    assert "Rule other" not in shown
    assert ("are real" in shown) is real


async def test_a_sample_that_no_rule_matches_and_one_that_cannot_be_sent_say_so(http, desk):
    desk.foretold = {"events": [{"event": {}, "rules": [make_verdict("urgent", matched=False, now=None)]}]}
    assert "No rule matches it" in words(await get(http, "/sources/helpdesk/sample"))
    desk.no_sample = "there is no sample of Zendesk"
    page = await get(http, "/sources/helpdesk")
    assert "No sample can be sent: there is no sample of Zendesk" in words(page)
    assert "/sample" not in page
    assert "there is no sample of Zendesk" in words(await get(http, "/sources/helpdesk/sample", 409))


async def test_the_playground_shows_match_values_and_body_or_what_is_wrong(http, desk, memory):
    memory.add(make_event(1, data={"subject": "Bye"}))
    form = {"rule": "name: urgent\r\nchat: {}\r\n", "event": "0190-1", "body": ""}
    page = await (await http.post("/rules/urgent", data=form)).text()
    assert desk.rules_tried == ["name: urgent\nchat: {}\n"]
    shown = words(page)
    assert "matches" in shown
    assert "data.subject == 'Bye' true data.subject is \"Bye\"" in shown
    assert '"type" : "draft"' in shown
    given = {"rule": "faulty", "source": "helpdesk", "headers": "x-kind: a\n", "body": "{}"}
    page = await (await http.post("/rules/urgent", data=given)).text()
    assert "line 1: rule is none ; write one" in words(page)
    assert desk.tried == []
    page = await (await http.post("/rules/urgent", data=given | {"rule": "name: x"})).text()
    assert "does not match" in words(page)
    assert desk.tried == [("helpdesk", {"content-type": "application/json", "x-kind": "a"}, b"{}")]
    page = await (await http.post("/rules/urgent", data=form | {"event": "none"})).text()
    assert 'role="alert"' in page


async def test_refused_requests_are_counted_by_source_and_reason(http, memory):
    """However many were refused of one source, the others and the button that helps are there."""
    ours = [refuse(number, kept_until=NOW + 1) for number in range(130)]
    others = [refuse(number, source="_unknown", reason="unknown_source") for number in range(200, 400)]
    memory.refused = [*others, *ours, *(refuse(number, reason="stale", kept_until=NOW + 1) for number in (150, 151))]
    page = await get(http, "/refused")
    shown = words(page)
    assert "200 requests, last" in shown
    assert "130 requests, last" in shown
    assert "2 requests, last" in shown
    assert shown.count("Readmit 132 kept of helpdesk") == 2, "the button readmits all of the source"
    assert "kept of _unknown" not in shown
    assert [each["value"] for each in Reader(page).all("option")] == ["", "helpdesk", "crm-bus", "_unknown"]
    assert page.count('<td data-label="At">') == 5 + 5 + 2
    assert 'href="/refused?source=helpdesk"' in page
    page = await get(http, "/refused?source=_unknown")
    assert page.count('<td data-label="At">') == 20
    assert "helpdesk" not in words(page[page.index("<section") :])


async def test_kept_requests_of_a_source_that_is_gone_cannot_be_readmitted(http, memory):
    memory.refused = [refuse(1, source="gone", kept_until=NOW + 1)]
    page = await get(http, "/refused")
    assert "1 request, last" in words(page)
    assert "/readmit" not in page


async def test_results_show_what_waits_and_why(http, memory):
    told = make_result(1)
    memory.tell(told)
    memory.waiting_rows = [ResultView(make_result(2), {"": "no queue is bound"}, NOW)]
    shown = words(await get(http, "/results"))
    assert "exchange : no queue is bound" in shown
    assert "told" in shown


async def test_usage_sums_rules_and_leaves_unknown_what_was_not_asked(http, memory):
    today = NOW - NOW % DAY
    memory.usage_rows = [Usage(today, "a", 3, 1.5, NOW), Usage(today - DAY, "a", 1, None, None)]
    shown = words(await get(http, "/usage"))
    assert "4 chats 1.5 credits" in shown or "chats 4 credits 1.5" in shown
    assert "unknown" in shown
    assert await get(http, "/usage?since=2d&rule=b")
    await get(http, "/usage?since=soon", 400)


async def test_acts_link_what_was_acted_on(http, memory):
    memory.act_rows = [Act("a-1", NOW, "kim", "rule.paused", "urgent", HOSTILE)]
    page = await get(http, "/acts")
    assert '<a href="/rules/urgent">' in page


async def test_who_only_reads_sees_no_buttons_and_may_press_none(signed):
    http = await signed("read")
    for path in PAGES:
        page = await get(http, path)
        assert not re.search(r"/(pause|resume|sample)\"|id=\"playground\"", page)
    [csrf] = set(re.findall(r'name="csrf" content="(\w+)"', await get(http, "/rules")))
    for path in ("/rules/urgent/pause", "/sources/helpdesk/sample", "/rules/urgent"):
        assert (await http.post(path, data={"rule": "name: x", "csrf": csrf})).status == 403


async def test_what_is_typed_into_the_playground_is_text(http):
    form = dict.fromkeys(("rule", "event", "body", "headers", "source"), HOSTILE)
    answer = await http.post("/rules/urgent", data=form)
    page = await answer.text()
    assert answer.status == 200
    assert "<script>alert" not in page
    assert not UNSEEN.search(outside_fields(page))


TYPED = "\n\u0645\u06cc\u200c\u062e\u0648 \U0001f468\u200d\U0001f469 a\u00a0b </textarea> \"&amp;' \\u200d"
"""Words whose invisible characters mean something: Persian, a family, a space that does not break."""


async def test_a_form_gives_back_what_was_typed_into_it(http, desk):
    desk.rule_text = lambda name: TYPED
    form = {"rule": TYPED, "body": TYPED, "headers": TYPED}
    for page in (await get(http, "/rules/urgent"), await (await http.post("/rules/urgent", data=form)).text()):
        assert typed_into(page)["rule"] == TYPED
    assert typed_into(page) == form
    page = await get(http, "/events?" + urlencode({"text": TYPED.strip(), "source": TYPED.strip(), "since": "1h"}))
    [field] = [attrs["value"] for attrs in Reader(page).all("input") if attrs["name"] == "text"]
    assert field == TYPED.strip()
    assert field in [attrs.get("value") for attrs in Reader(page).all("option")]
    assert not UNSEEN.search(outside_fields(page))


async def test_a_field_says_what_html_cannot(http, desk):
    desk.rule_text = lambda name: "a\x00b\ud800"
    assert typed_into(await get(http, "/rules/urgent"))["rule"] == "a\\x00b\\ud800"
