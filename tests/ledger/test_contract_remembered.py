"""What every ledger promises of an id that is a hash of the body: it is known for a while of its own."""

from sqlalchemy import func, select

from relay.ledger.schema import seen
from relay.model import EventStatus
from tests.ledger.build import make_entry

HOUR = 3_600_000


async def test_an_id_that_is_a_hash_is_known_for_as_long_as_its_event_says_and_then_is_another_event(ledger, clock):
    """Each repeat is answered with the first event and does not make it known for longer."""
    [first] = await ledger.accept([make_entry("sha256:ab", remember=HOUR)])
    for step in (HOUR - 1, 0):
        clock.now += step
        [again] = await ledger.accept([make_entry("sha256:ab", remember=HOUR)])
        assert (again.status, again.id) == (EventStatus.DUPLICATE, first.id)
    clock.now += 1
    assert await ledger.known([make_entry("sha256:ab", remember=HOUR)]) is None
    [other] = await ledger.accept([make_entry("sha256:ab", remember=HOUR)])
    assert other.status is EventStatus.ACCEPTED
    [known] = await ledger.accept([make_entry("sha256:ab", remember=HOUR)])
    assert (known.status, known.id) == (EventStatus.DUPLICATE, other.id)


async def test_no_id_is_known_longer_than_the_ledger_remembers(ledger, clock):
    await ledger.accept([make_entry("sha256:ab", remember=2 * ledger.terms.remember)])
    clock.now += ledger.terms.remember
    [receipt] = await ledger.accept([make_entry("sha256:ab")])
    assert receipt.status is EventStatus.ACCEPTED


async def test_an_id_that_was_a_hash_for_a_while_is_pruned_when_it_is_over(ledger, clock):
    await ledger.accept([make_entry("sha256:ab", rules=(), remember=HOUR), make_entry("b", rules=())])
    clock.now += HOUR
    keys = select(func.count()).select_from(seen)
    await ledger.prune()
    assert await ledger.read(lambda conn, _: conn.execute(keys).scalar()) == 1
