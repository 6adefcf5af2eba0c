"""Decides the next state after an attempt: pure functions from a claim and an outcome to a `Move`."""

from relay.dispatch.policy import LOOKS, Policy
from relay.dispatch.stamp import STAMPABLE
from relay.errors import Denied, Permanent, Retryable, Unknown
from relay.model import Chat, Claim, Failure, Move, ParkReason, State, Verdict, remade, tell

_ANSWER = 5_000
"""Milliseconds at most between two looks whether an agent has finished."""

Outcome = Chat | str | Retryable | Permanent | Unknown
"""The created chat, the uuid of the sent message, or the error."""


def next_move(claim: Claim, outcome: Outcome, policy: Policy, *, took: int, now: int) -> Move:
    """The move after an attempt. `took` is the duration of the call in ms, `now` is milliseconds since the epoch."""
    after = _after_message if claim.state is State.MESSAGING else _after_create
    return remade(after(claim, outcome, policy, now), took=took)


def put_back(claim: Claim) -> Move:
    """Return a claim that sent nothing: the attempt does not count and the dispatch is due at once."""
    to = State.MESSAGING if claim.state is State.MESSAGING else State.READY
    return _move(claim, to, verdict=Verdict.RETRYABLE, due_in=0, uncounted=True, doubt=claim.doubt)


def hold_back(claim: Claim, error: Denied, due_in: int) -> Move:
    """Return a claim after Cargo refused the credentials. The attempt does not count; due again in `due_in` ms."""
    failure = Failure("denied", str(error), error.status)
    to = State.MESSAGING if claim.state is State.MESSAGING else State.WAITING
    return remade(put_back(claim), to=to, verdict=Verdict.DENIED, failure=failure, due_in=due_in)


def cut(claim: Claim, why: str, policy: Policy) -> Move:
    """The move after Relay itself ended the call. The chat is always searched for, whatever `on_unknown` says."""
    if claim.state is State.MESSAGING:
        return _doubt(claim, Unknown(why), policy)
    failure = Failure("unknown", why)
    return _move(claim, State.CHECKING, verdict=Verdict.UNKNOWN, failure=failure, due_in=LOOKS[0])


def keep_back(claim: Claim, policy: Policy, now: int) -> Move:
    """The move for a dispatch that this replica has no key to decrypt. Nothing was sent; a replica with the key may."""
    return next_move(claim, Retryable(claim.locked or ""), policy, took=0, now=now)


def adopt(claim: Claim, chat: Chat, *, now: int, reconciled: bool = False) -> Move:
    """The chat exists: publish that, then finish or continue with the rule's first message."""
    dispatch = claim.dispatch
    result = tell.created(claim.about, dispatch, chat, attempts=claim.attempts, reconciled=reconciled, now=now)
    last = dispatch.message is None
    return _move(
        claim,
        State.DONE if last else State.MESSAGING,
        verdict=None if reconciled else Verdict.CREATED,
        chat=chat,
        reconciled=reconciled,
        due_in=None if last else 0,
        results=(result,),
    )


def look_again(claim: Claim, due_in: int) -> Move:
    """The outcome is still unknown: search again in `due_in` ms."""
    return _move(claim, State.CHECKING, verdict=None, due_in=due_in, doubt=claim.doubt)


def park(claim: Claim, reason: ParkReason, failure: Failure, *, now: int, verdict: Verdict | None = None) -> Move:
    """Park the dispatch until a person decides, and publish that."""
    result = tell.parked(claim.about, claim.dispatch, reason, failure, attempts=claim.attempts, now=now)
    return _move(claim, State.PARKED, verdict=verdict, failure=failure, park=reason, results=(result,))


def wait_or_give_up(
    claim: Claim,
    failure: Failure,
    policy: Policy,
    *,
    now: int,
    retry_after: float | None = None,
    verdict: Verdict | None,
) -> Move:
    """The chat was not created: schedule the next try, or park the dispatch once `give_up_after` has passed."""
    if claim.waited >= policy.give_up_after:
        return park(claim, ParkReason.GAVE_UP, failure, now=now, verdict=verdict)
    due_in = policy.wait(claim.attempts, retry_after)
    return _move(claim, State.WAITING, verdict=verdict, failure=failure, due_in=due_in)


def _after_create(claim: Claim, outcome: Outcome, policy: Policy, now: int) -> Move:
    match outcome:
        case Chat():
            return adopt(claim, outcome, now=now)
        case Unknown():
            return _unknown(claim, outcome, policy, now)
        case Permanent():
            return _fail(claim, outcome, now)
        case Retryable():
            failure = Failure("retryable", str(outcome), outcome.status)
            return wait_or_give_up(
                claim, failure, policy, now=now, retry_after=outcome.retry_after, verdict=Verdict.RETRYABLE
            )
    raise TypeError(f"no outcome of a creation: {outcome!r}")


def _unknown(claim: Claim, error: Unknown, policy: Policy, now: int) -> Move:
    failure = Failure("unknown", str(error), error.status)
    if claim.dispatch.trigger_type in STAMPABLE:
        return _move(claim, State.CHECKING, verdict=Verdict.UNKNOWN, failure=failure, due_in=LOOKS[0])
    if claim.dispatch.on_unknown == "retry":
        return wait_or_give_up(claim, failure, policy, now=now, verdict=Verdict.UNKNOWN)
    return park(claim, ParkReason.UNKNOWN, failure, now=now, verdict=Verdict.UNKNOWN)


def _fail(claim: Claim, error: Permanent, now: int) -> Move:
    failure = Failure(error.code or "refused", str(error), error.status)
    result = tell.failed(claim.about, claim.dispatch, failure, attempts=claim.attempts, now=now)
    return _move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure, results=(result,))


def _after_message(claim: Claim, outcome: Outcome, policy: Policy, now: int) -> Move:
    match outcome:
        case str():
            return said(claim, now, verdict=Verdict.SENT, message_uuid=outcome)
        case Permanent(code="chatNotFound") if claim.follows:
            return start_anew(claim, outcome)
        case Permanent(code="lastMessageNotFinished") if claim.follows:
            return _wait_for_answer(claim, outcome, policy, now)
        case Unknown() | Permanent(code="lastMessageNotFinished"):
            return _doubt(claim, outcome, policy)
        case Permanent():
            failure = Failure(outcome.code or "refused", str(outcome), outcome.status)
            return _unsaid(claim, failure, now, Verdict.PERMANENT)
        case Retryable():
            failure = Failure("retryable", str(outcome), outcome.status)
            if claim.waited >= policy.give_up_after:
                return unsaid(claim, outcome, now, verdict=Verdict.RETRYABLE)
            due_in = policy.wait(claim.attempt, outcome.retry_after)
            return _move(
                claim, State.MESSAGING, verdict=Verdict.RETRYABLE, failure=failure, due_in=due_in, doubt=claim.doubt
            )
    raise TypeError(f"no outcome of a message: {outcome!r}")


def _wait_for_answer(claim: Claim, error: Permanent, policy: Policy, now: int) -> Move:
    """The agent has not finished the message before: nothing was said, and it is tried again soon."""
    failure = Failure("lastMessageNotFinished", str(error), error.status)
    if claim.waited >= policy.give_up_after:
        return _unsaid(claim, failure, now, Verdict.RETRYABLE)
    due_in = min(policy.wait(claim.attempt), _ANSWER)
    return _move(claim, State.MESSAGING, verdict=Verdict.RETRYABLE, failure=failure, due_in=due_in, doubt=claim.doubt)


def start_anew(claim: Claim, error: Permanent) -> Move:
    """The chat of the thread is gone: this dispatch makes a new one."""
    failure = Failure("chatNotFound", str(error), error.status)
    return _move(claim, State.READY, verdict=Verdict.PERMANENT, failure=failure, due_in=0, forgets=True)


def said(claim: Claim, now: int, *, verdict: Verdict | None, message_uuid: str) -> Move:
    """The message is in the chat: publish that and finish."""
    result = tell.sent(claim.about, claim.dispatch, _chat_uuid(claim), attempts=claim.attempt, now=now)
    return _move(claim, State.DONE, verdict=verdict, results=(result,), message_uuid=message_uuid)


def unsaid(claim: Claim, error: Retryable, now: int, *, verdict: Verdict | None) -> Move:
    """Give up on the first message: it is absent, or its outcome stays unknown, and `give_up_after` has passed."""
    return _unsaid(claim, Failure(ParkReason.GAVE_UP, str(error), error.status), now, verdict)


def _doubt(claim: Claim, error: Unknown | Permanent, policy: Policy) -> Move:
    """Keep the message in doubt and check the chat once more, even past `give_up_after`: it may contain the message."""
    failure = Failure("unknown", str(error), error.status)
    return _move(claim, State.MESSAGING, verdict=Verdict.UNKNOWN, failure=failure, due_in=policy.settle, doubt=True)


def _unsaid(claim: Claim, failure: Failure, now: int, verdict: Verdict | None) -> Move:
    result = tell.unsent(claim.about, claim.dispatch, _chat_uuid(claim), failure, attempts=claim.attempt, now=now)
    to = State.FAILED if claim.follows else State.DONE  # without its first message a chat is there all the same
    return _move(claim, to, verdict=verdict, failure=failure, results=(result,))


def _chat_uuid(claim: Claim) -> str:
    if claim.chat_uuid is None:
        raise ValueError(f"dispatch {claim.dispatch.id} is in messaging without a chat")
    return claim.chat_uuid


def _move(claim: Claim, to: State, *, verdict: Verdict | None, **fields: object) -> Move:
    dispatch = claim.dispatch
    return Move(
        dispatch_id=dispatch.id,
        run=dispatch.run,
        was=claim.state,
        to=to,
        fence=claim.fence,
        attempt=claim.attempt,
        verdict=verdict,
        follows=claim.follows,
        **fields,  # type: ignore[arg-type] # the other fields of Move, named by the callers above
    )
