"""Readmitting: every kept request is judged once, oldest first, and what was taken in is marked."""

import pytest
from structlog.testing import capture_logs

from relay.app import readmit as readmission
from relay.app.readmit import Judgement, Outcome, admitted, readmit
from relay.errors import Refused, Rejected, Unavailable
from relay.model import EventStatus, Receipt
from relay.units import iso
from tests.app.conftest import NOW


class Judge:
    """Lets in what says so in its body; remembers what it was asked."""

    def __init__(self, **raises):
        self.asked = []
        self.raises = raises

    async def __call__(self, kept, at):
        word = kept.body.decode()
        self.asked.append((word, at))
        if word in self.raises:
            raise self.raises[word]
        if word == "wrong":
            return Judgement(Outcome.REFUSED, reason="signature_wrong", hint="still another secret")
        return Judgement(Outcome.DUPLICATE if word == "known" else Outcome.READMITTED, (f"event-{word}",))


async def marks(ledger):
    return {view.rejection.id: view.readmitted for view in await ledger.rejected(None, 100)}


async def kept_words(ledger, source="helpdesk"):
    return [one.kept.body.decode() for one in await ledger.refused(source, 100, None)]


async def test_each_is_judged_as_of_when_it_came_and_told_in_order(ledger, refuse):
    ids = [await refuse(word, at=NOW + number) for number, word in enumerate([b"a", b"known", b"wrong"])]
    judge = Judge()
    told = await readmit(ledger, "helpdesk", judge, now=NOW + 9, dry_run=False)
    assert judge.asked == [("a", NOW), ("known", NOW + 1), ("wrong", NOW + 2)]
    assert (told["readmitted"], told["refused"]) == (1, 1)
    assert told["requests"] == [
        {
            "id": ids[0],
            "at": iso(NOW),
            "verdict": "readmitted",
            "reason": None,
            "hint": None,
            "events": ["event-a"],
        },
        {
            "id": ids[1],
            "at": iso(NOW + 1),
            "verdict": "duplicate",
            "reason": None,
            "hint": None,
            "events": ["event-known"],
        },
        {
            "id": ids[2],
            "at": iso(NOW + 2),
            "verdict": "refused",
            "reason": "signature_wrong",
            "hint": "still another secret",
            "events": [],
        },
    ]


async def test_what_was_taken_in_is_marked_and_what_was_not_can_be_judged_again(ledger, refuse):
    ids = [await refuse(word) for word in (b"a", b"known", b"wrong")]
    await readmit(ledger, "helpdesk", Judge(), now=NOW, dry_run=False)
    assert await marks(ledger) == {ids[0]: ("event-a",), ids[1]: ("event-known",), ids[2]: None}
    again = Judge()
    assert (await readmit(ledger, "helpdesk", again, now=NOW, dry_run=False))["refused"] == 1
    assert [word for word, _ in again.asked] == ["wrong"]


async def test_a_dry_run_only_judges(ledger, refuse):
    for word in (b"a", b"wrong"):
        await refuse(word)
    told = await readmit(ledger, "helpdesk", Judge(), now=NOW, dry_run=True)
    assert [one["verdict"] for one in told["requests"]] == ["readmitted", "refused"]
    assert await kept_words(ledger) == ["a", "wrong"]
    assert set((await marks(ledger)).values()) == {None}


async def test_only_this_source_and_all_of_its_pages(ledger, refuse):
    count = 2 * readmission._PAGE + 3
    for number in range(count):
        await refuse(b"wrong" if number % 2 else b"%d" % number)
    await refuse(b"other", source="shop")
    judge = Judge()
    told = await readmit(ledger, "helpdesk", judge, now=NOW, dry_run=False)
    assert (len(judge.asked), len(told["requests"])) == (count, count)
    assert await kept_words(ledger) == ["wrong"] * (count // 2)
    assert await kept_words(ledger, "shop") == ["other"]


async def test_nothing_kept_is_nothing_to_do(ledger):
    told = await readmit(ledger, "helpdesk", Judge(), now=NOW, dry_run=False)
    assert told == {"readmitted": 0, "refused": 0, "requests": []}


async def test_what_is_refused_meanwhile_waits_for_the_next_time(ledger, refuse):
    await refuse(b"a", at=NOW)
    for number in range(readmission._PAGE):
        await refuse(b"later", at=NOW + 1 + number)
    judge = Judge()
    await readmit(ledger, "helpdesk", judge, now=NOW, dry_run=False)
    assert judge.asked == [("a", NOW)]


async def test_refusals_that_are_raised_are_told_like_the_others(ledger, refuse):
    for word in (b"old", b"odd", b"a"):
        await refuse(word)
    old = Rejected("too old", status=401, reason="timestamp_old", hint="the sender's clock")
    told = await readmit(ledger, "helpdesk", Judge(old=old, odd=Refused("it holds NUL")), now=NOW, dry_run=False)
    assert [(one["reason"], one["hint"]) for one in told["requests"]] == [
        ("timestamp_old", "the sender's clock"),
        ("refused", "it holds NUL"),
        (None, None),
    ]
    assert (told["readmitted"], told["refused"]) == (1, 2)


async def test_an_error_ends_it_and_the_next_time_goes_on_from_there(ledger, refuse):
    for word in (b"a", b"b", b"c"):
        await refuse(word)
    with pytest.raises(Unavailable):
        await readmit(ledger, "helpdesk", Judge(b=Unavailable("away")), now=NOW, dry_run=False)
    judge = Judge()
    await readmit(ledger, "helpdesk", judge, now=NOW, dry_run=False)
    assert [word for word, _ in judge.asked] == ["b", "c"]


async def test_it_logs_what_was_taken_in_and_never_what_it_held(ledger, refuse):
    one = await refuse(b"hush-body", headers={"x-signature": "hush-signature"})
    await refuse(b"wrong")
    with capture_logs() as lines:
        await readmit(ledger, "helpdesk", Judge(**{"hush-body": Refused("no")}), now=NOW, dry_run=False)
        assert lines == []
        await readmit(ledger, "helpdesk", Judge(), now=NOW, dry_run=True)
        assert lines == []
        await readmit(ledger, "helpdesk", lambda *_: admit(), now=NOW, dry_run=False)
    assert [(line["event"], line["source"]) for line in lines] == [("request.readmitted", "helpdesk")] * 2
    assert (lines[0]["rejection_id"], lines[0]["event_ids"]) == (one, ("event-1",))
    assert "hush" not in str(lines)


async def admit():
    return Judgement(Outcome.READMITTED, ("event-1",))


RECEIPTS = {
    "new": ([EventStatus.ACCEPTED], Outcome.READMITTED),
    "unmatched": ([EventStatus.UNMATCHED], Outcome.READMITTED),
    "unreadable": ([EventStatus.UNREADABLE], Outcome.READMITTED),
    "known": ([EventStatus.DUPLICATE, EventStatus.DUPLICATE], Outcome.DUPLICATE),
    "a batch with something new": ([EventStatus.DUPLICATE, EventStatus.ACCEPTED], Outcome.READMITTED),
    "an empty batch": ([], Outcome.READMITTED),
}


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_request_is_a_duplicate_when_all_of_it_was_known(name):
    statuses, outcome = RECEIPTS[name]
    receipts = [Receipt(f"event-{number}", None, status, None) for number, status in enumerate(statuses)]
    assert admitted(receipts) == Judgement(outcome, tuple(receipt.id for receipt in receipts))
