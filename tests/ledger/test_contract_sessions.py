"""What every ledger promises of sessions: that one has ended is known on every replica until it would have ended."""

from relay.ops.session import LIFETIME

FIRST, SECOND = bytes(32), bytes([1]) * 32


async def test_a_session_that_was_ended_is_ended_on_every_replica(replicas, clock):
    one, other = replicas
    assert not await other.is_session_ended(FIRST)
    await one.end_session(FIRST, clock.now + LIFETIME)
    await other.end_session(FIRST, clock.now + LIFETIME)  # in another window of the same browser
    assert [await ledger.is_session_ended(FIRST) for ledger in replicas] == [True, True]
    assert not await other.is_session_ended(SECOND)


async def test_it_is_kept_until_it_would_have_ended(ledger, clock):
    await ledger.end_session(FIRST, clock.now + LIFETIME)
    await ledger.end_session(SECOND, clock.now + 2 * LIFETIME)
    clock.now += LIFETIME
    await ledger.prune()
    assert await ledger.is_session_ended(FIRST), "by the clock of another machine it may go on"
    clock.now += LIFETIME
    await ledger.prune()
    assert not await ledger.is_session_ended(FIRST)
    assert await ledger.is_session_ended(SECOND)
