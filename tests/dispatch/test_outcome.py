"""What follows from one attempt: only legal moves, nothing told twice or not at all, no blind retry."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from relay.dispatch import outcome
from relay.dispatch.policy import LOOKS, Policy
from relay.dispatch.stamp import stamp_body
from relay.errors import Denied, Permanent, Retryable, Unknown
from relay.model import LIVE, MOVES, About, Chat, Claim, Dispatch, Failure, Move, ParkReason, State, Verdict

POLICY = Policy(timeout=30_000, first=1_000, cap=300_000, give_up_after=86_400_000, settle=60_000)
NOW = 1_790_000_000_000
CHAT = "5f9f1d5e-5f0f-4d6a-9a3c-2d3f4a5b6c7d"


def make_claim(
    *,
    state: State = State.SENDING,
    message: str | None = None,
    waited: int = 0,
    trigger_type: str = "connector",
    on_unknown: str = "park",
    doubt: bool = False,
) -> Claim:
    dispatch = Dispatch(
        id="0199-d",
        event_id="0199-e",
        source="helpdesk",
        rule="urgent",
        body='{"trigger":{"type":"connector","meta":{"a":1}}}',
        message=message or ("hello" if state is State.MESSAGING else None),
        trigger_type=trigger_type,
        on_unknown=on_unknown,
    )
    about = About("0199-e", "helpdesk", "x-1", "ticket", None, None, None, NOW)
    return Claim(
        dispatch=dispatch,
        state=state,
        fence=3,
        lease=POLICY.lease,
        attempt=1,
        attempts=1,
        waited=waited,
        about=about,
        chat_uuid=CHAT if state is State.MESSAGING else None,
        doubt=doubt,
    )


claims = st.builds(
    make_claim,
    state=st.sampled_from([State.SENDING, State.MESSAGING]),
    message=st.sampled_from([None, "hello"]),
    waited=st.sampled_from([0, 1, POLICY.give_up_after - 1, POLICY.give_up_after, 10**10]),
    trigger_type=st.sampled_from(["connector", "draft", "workflow"]),
    on_unknown=st.sampled_from(["park", "retry"]),
    doubt=st.booleans(),
)
statuses = st.sampled_from([None, 400, 404, 408, 409, 422, 425, 429, 500, 503])
troubles = st.one_of(
    st.builds(Retryable, st.just("away"), status=statuses, retry_after=st.one_of(st.none(), st.floats(0, 10**7))),
    st.builds(Permanent, st.just("no"), status=statuses, code=st.sampled_from([None, "lastMessageNotFinished", "x"])),
    st.builds(Unknown, st.just("who knows"), status=statuses),
)


def follow(claim: Claim, result: outcome.Outcome) -> Move:
    return outcome.next_move(claim, result, POLICY, took=5, now=NOW)


@given(claim=claims, trouble=troubles)
def test_every_move_is_legal_and_live_states_have_a_next_step(claim: Claim, trouble: outcome.Outcome) -> None:
    move = follow(claim, trouble)
    assert move.to in MOVES[claim.state]
    assert (move.due_in is not None) == (move.to in LIVE)
    assert (move.fence, move.was, move.run) == (claim.fence, claim.state, claim.dispatch.run)
    assert move.verdict is not None


@given(claim=claims, trouble=troubles)
def test_what_ends_or_parks_is_told_once_and_what_goes_on_is_not_told(claim: Claim, trouble: outcome.Outcome) -> None:
    move = follow(claim, trouble)
    assert len(move.results) == (0 if move.to in LIVE else 1)


@given(claim=claims, trouble=st.builds(Unknown, st.just("reset"), status=statuses))
def test_an_unknown_creation_is_never_failed_and_never_retried_blindly(claim: Claim, trouble: Unknown) -> None:
    if claim.state is not State.SENDING:
        return
    move = follow(claim, trouble)
    if claim.dispatch.trigger_type == "connector":
        assert (move.to, move.due_in) == (State.CHECKING, LOOKS[0])
    elif claim.dispatch.on_unknown == "park":
        assert (move.to, move.park) == (State.PARKED, ParkReason.UNKNOWN)
    else:
        assert move.to in {State.WAITING, State.PARKED}


def test_a_chat_ends_a_rule_without_message() -> None:
    move = follow(make_claim(), Chat(CHAT, NOW, stamp=("0199-d", 1)))
    assert (move.to, move.verdict, move.due_in) == (State.DONE, Verdict.CREATED, None)
    told = move.results[0]
    assert (told.id, told.routing_key, told.chat_uuid) == ("0199-d.1", "chat.created.helpdesk.urgent", CHAT)
    assert told.correlation_id == "0199-e"


def test_a_chat_goes_on_to_the_first_message_and_is_told_at_once() -> None:
    move = follow(make_claim(message="hello"), Chat(CHAT, NOW))
    assert (move.to, move.due_in, len(move.results)) == (State.MESSAGING, 0, 1)


def test_a_message_of_unknown_outcome_is_doubted_for_the_time_to_settle() -> None:
    claim = make_claim(state=State.MESSAGING)
    for trouble in (Unknown("reset"), Permanent("busy", status=409, code="lastMessageNotFinished")):
        move = follow(claim, trouble)
        assert (move.to, move.doubt, move.due_in) == (State.MESSAGING, True, POLICY.settle)


def test_doubt_about_a_message_is_not_lost_by_a_retryable_trouble() -> None:
    assert follow(make_claim(state=State.MESSAGING, doubt=True), Retryable("429", status=429)).doubt


def test_retry_after_puts_off_the_next_try() -> None:
    move = follow(make_claim(), Retryable("slow down", status=429, retry_after=120))
    assert move.to is State.WAITING
    assert move.due_in is not None
    assert move.due_in >= 120_000


def test_past_its_time_a_dispatch_parks() -> None:
    move = follow(make_claim(waited=POLICY.give_up_after), Retryable("away"))
    assert (move.to, move.park) == (State.PARKED, ParkReason.GAVE_UP)
    assert move.results[0].id == "0199-d.1.parked"
    assert move.results[0].data["error"]["code"] == "gave_up"


def test_refused_credentials_burn_no_attempt() -> None:
    move = outcome.hold_back(make_claim(waited=10**10), Denied("401", status=401), due_in=500)
    assert (move.to, move.uncounted, move.verdict) == (State.WAITING, True, Verdict.DENIED)


def test_a_failure_says_its_reason() -> None:
    move = follow(make_claim(), Permanent("agent is gone", status=404, code="agentNotFound"))
    assert move.to is State.FAILED
    assert move.failure == Failure("agentNotFound", "agent is gone", 404)
    assert move.results[0].data["error"] == {
        "code": "failed",
        "reason": "agentNotFound",
        "status": 404,
        "message": "agent is gone",
    }


def test_the_stamp_is_added_to_meta_and_the_rest_is_kept() -> None:
    body = stamp_body(make_claim().dispatch)
    assert body == (
        b'{"trigger":{"type":"connector","meta":{"a":1,"relay":{"dispatch":"0199-d","run":1,"event":"0199-e"}}}}'
    )


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\u2028\x01"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(value=_JSON, depth=st.sampled_from([0, 150, 240, 300]))
def test_what_is_sent_says_what_was_rendered_however_deep(value: object, depth: int) -> None:
    for _ in range(depth):
        value = [value]
    meta = {"value": value, "many": 10**4_000}
    dispatch = replace(make_claim().dispatch, body=json.dumps({"trigger": {"type": "connector", "meta": meta}}))
    body = stamp_body(dispatch)
    assert b'","run":1,"' in body, "it is compact"
    sent = json.loads(body)["trigger"]["meta"]
    assert sent.pop("relay") == {"dispatch": "0199-d", "run": 1, "event": "0199-e"}
    assert json.dumps(sent) == json.dumps(meta)


def test_a_trigger_without_meta_is_sent_as_it_is() -> None:
    assert b"relay" not in stamp_body(make_claim(trigger_type="draft").dispatch)


@given(looks=st.integers(0, 100), ended_ago=st.integers(0, 10**7))
def test_the_moment_when_absence_becomes_proof_is_not_missed(looks: int, ended_ago: int) -> None:
    wait = POLICY.look_in(looks, ended_ago)
    assert 250 <= wait <= 60_000
    if ended_ago < POLICY.settle - 250:
        assert ended_ago + wait <= POLICY.settle


def test_what_is_encrypted_with_a_missing_key_waits_for_it_and_is_given_up_in_the_end() -> None:
    told = "dispatches.body of 0199-d is encrypted with key 1a2b3c4d, which is not here: add it to encrypt.old"
    for state, after in ((State.SENDING, State.WAITING), (State.MESSAGING, State.MESSAGING)):
        move = outcome.keep_back(replace(make_claim(state=state), locked=told), POLICY, NOW)
        assert (move.to, move.failure and move.failure.message, move.results) == (after, told, ())
        assert (move.due_in or 0) >= 0
    late = replace(make_claim(waited=POLICY.give_up_after), locked=told)
    move = outcome.keep_back(late, POLICY, NOW)
    assert (move.to, move.park, len(move.results)) == (State.PARKED, ParkReason.GAVE_UP, 1)
