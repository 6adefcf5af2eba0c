"""The timeline puts what was caused after its cause, whatever the clocks say."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from relay.model import AttemptView, EventDetail, EventStatus, ResultType, ResultView
from relay.ops.timeline import trace
from tests.ops.desk import NOW, make_dispatch, make_event, make_result


def detail(attempts, results):
    event = make_event(1)
    dispatch = make_dispatch(event)
    return EventDetail(event, EventStatus.ACCEPTED, (dispatch,), tuple(attempts), tuple(results))


def told(at, kind):
    return ResultView(replace(make_result(1), type=kind, time=at, dispatch_id="d-0190-1"), {})


def call(kind, begun, ended):
    return AttemptView("d-0190-1", 1, kind, 1, NOW + begun, ended and NOW + ended, ended and "created", None, None)


@given(early=st.integers(0, 18))
def test_a_result_follows_the_attempt_that_it_tells_of(early):
    attempts = [call("chat", 2, 20), call("message", 21, 40)]
    results = [told(NOW + 20 - early, ResultType.CREATED), told(NOW + 40 - early, ResultType.SENT)]
    assert [step.what for step in trace(detail(attempts, results))] == [
        "event.accepted",
        "rule.matched",
        "chat.attempted",
        "chat.answered",
        "chat.created",
        "message.attempted",
        "message.answered",
        "message.sent",
    ]


def test_what_failed_before_it_began_follows_its_match():
    steps = trace(detail([], [told(NOW, ResultType.FAILED)]))
    assert [step.what for step in steps] == ["event.accepted", "rule.matched", "chat.failed"]


def test_an_attempt_without_an_end_is_shown_as_begun():
    steps = trace(detail([call("chat", 2, None)], []))
    assert [step.what for step in steps] == ["event.accepted", "rule.matched", "chat.attempted"]
