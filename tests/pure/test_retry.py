"""How long Relay waits: jittered, capped, and as long as it was asked to."""

from hypothesis import given
from hypothesis import strategies as st

from relay.retry import MOST_RETRY_AFTER, backoff, delay

FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(tries=st.integers(0, 10_000), first=st.integers(1, 60_000), cap=st.integers(1, 10**8), part=FRACTIONS)
def test_backoff_never_exceeds_its_cap_nor_the_doubled_first(tries: int, first: int, cap: int, part: float) -> None:
    wait = backoff(tries, first=first, cap=cap, random=lambda: part)
    assert 0 <= wait <= min(cap, first * 2**tries)


def test_backoff_doubles() -> None:
    waits = [backoff(tries, first=1_000, cap=300_000, random=lambda: 1.0) for tries in range(10)]
    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]


@given(seconds=st.floats(0, 10**9), part=FRACTIONS)
def test_retry_after_is_obeyed_up_to_an_hour(seconds: float, part: float) -> None:
    wait = delay(3, seconds, first=1_000, cap=300_000, random=lambda: part)
    assert min(round(seconds * 1_000), MOST_RETRY_AFTER) <= wait <= MOST_RETRY_AFTER + 1_000


def test_without_retry_after_it_is_the_backoff() -> None:
    assert delay(2, None, first=100, cap=10_000, random=lambda: 0.5) == 200
