"""The judge of a webhook: today's secret, the moment at which the request came, and no event twice."""

import json
from dataclasses import replace

import pytest

from relay.app.judge import Court
from relay.app.readmit import readmit
from relay.errors import Conflict, Overloaded, Retryable
from relay.hooks import Hook
from relay.intake import Intake
from relay.life import Signals
from relay.model import EventQuery, EventStatus, new_id
from relay.rules import RuleSpec, compile_rules
from relay.schemes import SchemeSpec, build
from relay.secret import Secret
from relay.telemetry import Metrics
from tests.app.conftest import NOW
from tests.signing import sign

MONTH = 30 * 86_400_000
RULE = RuleSpec("any", chat={"trigger": {"type": "draft"}})
JSON = {"content-type": "application/json"}


def make_hook(scheme, secret, name="helpdesk"):
    spec = SchemeSpec(scheme, (Secret(secret),))
    return Hook(name, build(spec), spec)


OLD, NEW = make_hook("zendesk", "hush-old"), make_hook("zendesk", "hush-new")


def signed(hook, body, at):
    return JSON | sign(hook.scheme, body, now=at, id="inv-1")


async def no_fetch(url):
    raise Retryable(f"nothing is fetched here: {url}")


@pytest.fixture
def court(ledger):
    def make(hook):
        intake = Intake(
            ledger,
            compile_rules([RULE], {}),
            high_water=1_000,
            ids=new_id,
            clock=lambda: NOW + MONTH,
            metrics=Metrics(),
            boottime=lambda: 0,
            signals=Signals(),
        )
        return Court({hook.name: hook}, intake, 1 << 20, new_id, no_fetch)

    return make


@pytest.fixture
def again(ledger, court):
    """Readmits what is kept of a source, a month later, with this hook."""

    async def run(hook, *, dry_run=False):
        judge = court(hook)(hook.name, dry_run)
        told = await readmit(ledger, hook.name, judge, now=NOW + MONTH, dry_run=dry_run)
        return told["requests"]

    return run


async def events(ledger):
    return (await ledger.events(EventQuery())).events


TICKET = json.dumps({"id": "t-1", "type": "zen:event-type:ticket.created"}).encode()


async def test_what_the_rotated_secret_signed_is_taken_in_once_it_is_configured(ledger, refuse, again):
    await refuse(TICKET, headers=signed(NEW, TICKET, NOW))
    [refused] = await again(OLD)
    assert (refused["verdict"], refused["reason"]) == ("refused", "signature_wrong")
    assert await events(ledger) == ()
    [readmitted] = await again(NEW)
    [event] = await events(ledger)
    assert (readmitted["verdict"], readmitted["events"]) == ("readmitted", [event.id])
    assert (event.external_id, event.status, event.received_at) == ("t-1", EventStatus.ACCEPTED, NOW)
    assert await again(NEW) == []


async def test_a_signature_that_was_too_old_when_it_came_stays_so(refuse, again):
    await refuse(TICKET, headers=signed(NEW, TICKET, NOW - 3_600_000))
    [refused] = await again(NEW)
    assert (refused["verdict"], refused["reason"]) == ("refused", "timestamp_old")


async def test_a_dry_run_takes_nothing_in(ledger, refuse, again):
    await refuse(TICKET, headers=signed(NEW, TICKET, NOW))
    [judged] = await again(NEW, dry_run=True)
    assert (judged["verdict"], judged["events"]) == ("readmitted", [])
    assert await events(ledger) == ()
    assert [one["verdict"] for one in await again(NEW)] == ["readmitted"]


async def test_what_the_sender_has_sent_again_meanwhile_is_a_duplicate(ledger, refuse, again):
    for _ in range(2):
        await refuse(TICKET, headers=signed(NEW, TICKET, NOW))
    first, second = await again(NEW)
    assert (first["verdict"], second["verdict"]) == ("readmitted", "duplicate")
    assert first["events"] == second["events"]
    assert len(await events(ledger)) == 1


async def test_an_event_without_an_id_is_made_once_however_often_its_request_is_judged(ledger, refuse, court):
    forms = make_hook("bearer", "hush", "forms")
    headers = signed(forms, b'{"mail": "a@b.example"}', NOW)
    for at in (NOW, NOW + 1):
        await refuse(b'{"mail": "a@b.example"}', source="forms", at=at, headers=headers)
    judge = court(forms)("forms", False)
    kept = await ledger.refused("forms", 10, None)
    verdicts = [await judge(one.kept, one.at) for one in (*kept, *kept)]
    assert [verdict.outcome for verdict in verdicts] == ["readmitted", "readmitted", "duplicate", "duplicate"]
    assert len(await events(ledger)) == 2, "two requests with the same content are two events"


async def test_past_the_high_water_mark_it_ends_and_nothing_is_lost(ledger, refuse, again):
    await refuse(TICKET, headers=signed(NEW, TICKET, NOW))
    ledger.terms = replace(ledger.terms, high_water=0)
    with pytest.raises(Overloaded):
        await again(NEW)
    assert len(await ledger.refused("helpdesk", 10, None)) == 1


def test_a_queue_has_no_judge(court):
    with pytest.raises(Conflict, match="crm-bus is a queue"):
        court(NEW)("crm-bus", False)
