"""The circuit opens on trouble of many, not of one; leased places never go above their grant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.limits import Bucket, Circuit, CircuitPhase, Places, party_of


def test_one_bad_dispatch_cannot_open_the_circuit() -> None:
    circuit = Circuit(3)
    assert not any(circuit.trouble("same") for _ in range(100))
    assert circuit.phase is CircuitPhase.CLOSED


def test_distinct_dispatches_open_it_once() -> None:
    circuit = Circuit(3)
    assert [circuit.trouble(name) for name in "abcd"] == [False, False, True, False]
    assert circuit.phase is CircuitPhase.OPEN


def test_a_success_between_starts_the_count_anew() -> None:
    circuit = Circuit(2)
    circuit.trouble("a")
    circuit.succeed()
    assert not circuit.trouble("b")


def test_the_trial_decides() -> None:
    circuit = Circuit(1)
    circuit.trouble("a")
    circuit.allow_trial()
    assert circuit.phase is CircuitPhase.TRIAL
    assert circuit.trouble("b")
    circuit.allow_trial()
    circuit.succeed()
    assert circuit.phase is CircuitPhase.CLOSED


def test_a_trial_is_only_for_an_open_circuit() -> None:
    circuit = Circuit(2)
    circuit.allow_trial()
    assert circuit.phase is CircuitPhase.CLOSED


@given(
    block=st.integers(1, 20),
    mark=st.integers(0, 50),
    steps=st.lists(st.tuples(st.sampled_from(["take", "close"]), st.integers(1, 5)), max_size=60),
)
def test_places_taken_never_exceed_the_mark(block: int, mark: int, steps: list[tuple[str, int]]) -> None:
    """The ledger grants at most what is left under the mark; committed work counts there, open work in the block."""
    places = Places(block, 10)
    committed, open_places = 0, []
    for now, (step, count) in enumerate(steps):
        if step == "take":
            if not places.take(count, now):
                places.refill(min(places.wanted(count), mark - committed), now)
                if not places.take(count, now):
                    continue
            open_places.append(count)
        elif open_places:
            done = open_places.pop()
            committed += done
            places.close(done)
        assert committed + sum(open_places) <= mark


def test_a_block_lapses() -> None:
    places = Places(10, 1_000)
    places.refill(10, now=0)
    assert places.take(1, now=999)
    assert not places.take(1, now=1_000)
    assert places.take(0, now=5_000)


def test_a_bucket_gives_its_burst_at_once_and_then_one_a_spacing() -> None:
    bucket = Bucket(3, 100)
    assert [bucket.take(1_000) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1_099), bucket.take(1_100), bucket.take(1_100)] == [False, True, False]
    assert [bucket.take(9_000) for _ in range(4)] == [True, True, True, False], "no more than the burst is saved up"


@given(st.lists(st.integers(0, 50), max_size=200))
def test_a_bucket_never_gives_more_than_its_rate(steps: list[int]) -> None:
    bucket, now, given_at = Bucket(5, 20), 10_000, []
    for step in steps:
        now += step
        if bucket.take(now):
            given_at.append(now)
    for first, last in zip(given_at, given_at[5:], strict=False):
        assert last - first >= 20


def test_a_bucket_says_how_long_it_is_empty_and_takes_tokens_back() -> None:
    bucket = Bucket(2, 100)
    assert (bucket.wait(1_000), bucket.take(1_000), bucket.take(1_000)) == (0, True, True)
    assert (bucket.wait(1_000), bucket.wait(1_060), bucket.wait(5_000)) == (100, 40, 0)
    bucket.give()
    assert (bucket.wait(1_000), bucket.take(1_000), bucket.take(1_000)) == (0, True, False)
    for _ in range(9):
        bucket.give()
    assert [bucket.take(1_000) for _ in range(3)] == [True, True, False], "never more than the burst"


@pytest.mark.parametrize(
    ("remote", "party"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        (None, ""),
        ("_hidden", "_hidden"),
    ],
)
def test_one_customer_of_a_provider_is_one_party(remote: str | None, party: str) -> None:
    assert party_of(remote) == party
