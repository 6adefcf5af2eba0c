"""The timeline puts what was caused after its cause, whatever the clocks say, also within one millisecond."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from relay.model import AttemptView, EventDetail, EventStatus, ResultType, ResultView
from relay.ops.timeline import trace
from tests.ops.desk import NOW, make_dispatch, make_event, make_result

WHOLE = [
    ("event.accepted", None),
    ("rule.matched", None),
    ("chat.attempted", 1),
    ("chat.answered", 1),
    ("chat.attempted", 1),
    ("chat.answered", 1),
    ("chat.failed", 1),
    ("chat.attempted", 2),
    ("chat.answered", 2),
    ("chat.created", 2),
    ("message.attempted", 2),
    ("message.answered", 2),
    ("message.sent", 2),
]
"""The life of a dispatch that failed, was retried by hand, and has a message; with the run of each step."""


def detail(attempts, results, received=0, created=0):
    event = make_event(1, received_at=NOW + received)
    dispatch = make_dispatch(event, created_at=NOW + created)
    return EventDetail(event, EventStatus.ACCEPTED, (dispatch,), tuple(attempts), tuple(results))


def told(at, kind, name="1"):
    """A result that was committed at `at`; its own time is by the clock of a replica that is a day off."""
    result = replace(make_result(1), id=f"d-0190-1.{name}", type=kind, time=NOW - 86_400_000, dispatch_id="d-0190-1")
    return ResultView(result, {}, at=NOW + at)


def call(kind, begun, ended, run=1, number=1):
    return AttemptView("d-0190-1", run, kind, number, NOW + begun, ended and NOW + ended, ended and "ok", None, None)


def live(moments, received):
    """The life `WHOLE` with these times, as the ledger has it."""
    _, matched, *at = moments
    attempts = [
        call("chat", at[0], at[1]),
        call("chat", at[2], at[3], number=2),
        call("chat", at[5], at[6], run=2),
        call("message", at[8], at[9], run=2),
    ]
    results = [
        told(at[10], ResultType.SENT, "2.message"),
        told(at[7], ResultType.CREATED, "2"),
        told(at[4], ResultType.FAILED),
    ]
    return detail(attempts, results, received=received, created=matched)


@given(gaps=st.lists(st.integers(0, 3), min_size=len(WHOLE), max_size=len(WHOLE)), skew=st.integers(-100_000, 100_000))
def test_every_step_follows_its_cause_however_close_they_are_and_whatever_the_replica_s_clock_says(gaps, skew):
    moments = [1 + sum(gaps[: number + 1]) for number in range(len(gaps))]
    steps = trace(live(moments, received=skew))
    assert [step.what for step in steps] == [what for what, _ in WHOLE]
    times = [step.at for step in steps]
    assert times == sorted(times)
    assert times[1:] == [NOW + moment for moment in moments[1:]]
    runs = [int(step.detail.split()[1].rstrip(",")) for step in steps if step.detail and step.detail.startswith("run")]
    assert runs == [run for what, run in WHOLE if what.endswith(("attempted", "answered"))]


def test_an_event_that_came_in_before_its_match_keeps_its_time():
    steps = trace(detail([], [], received=3, created=7))
    assert [step.at - NOW for step in steps] == [3, 7]


def test_what_failed_before_it_began_follows_its_match():
    steps = trace(detail([], [told(0, ResultType.FAILED)]))
    assert [step.what for step in steps] == ["event.accepted", "rule.matched", "chat.failed"]


def test_an_attempt_without_an_end_is_shown_as_begun():
    steps = trace(detail([call("chat", 2, None)], []))
    assert [step.what for step in steps] == ["event.accepted", "rule.matched", "chat.attempted"]
