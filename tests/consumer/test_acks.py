"""Every tag is settled exactly once, whatever the order, in frames that RabbitMQ accepts."""

from hypothesis import given
from hypothesis import strategies as st

from relay.consumer.acks import Acks


def test_a_row_without_gaps_goes_in_one_frame():
    acks = Acks()
    for tag in (2, 1, 3, 5):
        acks.done(tag)
    assert acks.take() == [(3, True), (5, False)]
    acks.done(4)
    acks.done(6)
    assert acks.take() == [(6, True)]
    assert acks.take() == []


@given(st.permutations(range(1, 30)), st.sets(st.integers(1, 29)), st.sets(st.integers(0, 28)))
def test_each_tag_that_is_done_once(order, held, turns):
    acks = Acks()
    outstanding, acked = set(range(1, 30)), set()

    def send():
        for tag, multiple in acks.take():
            assert tag in outstanding  # RabbitMQ closes the channel otherwise
            covered = {one for one in outstanding if one <= tag} if multiple else {tag}
            outstanding.difference_update(covered)
            acked.update(covered)

    for turn, tag in enumerate(order):
        if tag not in held:
            acks.done(tag)
        if turn in turns:
            send()
    send()
    assert outstanding == held
    assert acked == set(range(1, 30)) - held
