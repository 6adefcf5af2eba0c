"""The short form of `make faults`: a few rows against real processes, so that rows and promises hold at each change."""

from contextlib import ExitStack

import pytest

from tests.faults.play import play
from tests.faults.rows import ROWS, choose
from tests.faults.servers import Servers
from tests.faults.table import draw
from tests.faults.tally import Lists, Tally, compare

SHORT = (("kill", "postgres", 2), ("broker-cut", "sqlite", 1), ("pg-hang", "postgres", 1), ("file-moved", "sqlite", 1))


@pytest.fixture(scope="module")
def servers():
    with ExitStack() as stack:
        yield Servers(stack)


@pytest.mark.parametrize(("name", "ledger", "replicas"), SHORT)
async def test_under_this_fault_nothing_is_lost_made_twice_or_untold(servers, name, ledger, replicas):
    tally = await play(ROWS[name], ledger, servers, replicas=replicas, length=0.2, seed=1)
    assert tally.holds, draw([tally])
    assert tally.faults > 0
    assert tally.events > 0


def event(external_id, *states):
    dispatches = [{"id": f"{external_id}-{number}", "state": state} for number, state in enumerate(states)]
    return {"externalId": external_id, "dispatches": dispatches}


def chat(dispatch):
    return {"uuid": f"chat-of-{dispatch}", "dispatch": dispatch, "name": None}


@pytest.mark.parametrize(
    ("accepted", "chats", "told", "events", "figures"),
    [
        (["a"], [chat("a-0")], {"a-0"}, [event("a", "done")], (0, 0, 0)),
        (["a", "b"], [chat("a-0")], {"a-0"}, [event("a", "done")], (1, 0, 0)),
        (["a"], [], {"a-0"}, [event("a", "done")], (1, 0, 0)),
        (["a"], [], set(), [event("a", "sending")], (1, 0, 0)),
        (["a"], [chat("a-0"), chat("a-0")], {"a-0"}, [event("a", "done")], (0, 1, 0)),
        (["a"], [chat("a-0")], {"a-0"}, [event("a", "done"), event("a")], (0, 1, 0)),
        (["a"], [chat("a-0")], set(), [event("a", "done")], (0, 0, 1)),
        (["a"], [], {"a-0"}, [event("a", "parked")], (0, 0, 0)),
    ],
)
def test_the_four_lists_show_what_is_lost_twice_and_untold(accepted, chats, told, events, figures):
    tally = Tally("row", "sqlite", 1)
    compare(tally, Lists(accepted, chats, told, events))
    assert (tally.lost, tally.twice, tally.untold) == figures
    assert tally.holds is not any(figures)
    assert ("FAILED" in draw([tally])) is any(figures)


@pytest.mark.parametrize(("uuid", "figures"), [("chat-of-a-0", (0, 0)), ("elsewhere", (1, 1))])
def test_a_follow_up_has_the_chat_of_its_thread(uuid, figures):
    tally = Tally("row", "sqlite", 1)
    events = [event("a", "done"), event("b", "done")]
    compare(tally, Lists(["a", "b"], [chat("a-0")], {"a-0"}, events, said={"b-0": uuid}))
    assert (tally.lost, tally.untold) == figures


def test_rows_are_chosen_by_name_or_family_and_others_are_refused():
    assert [row.name for row in choose(["kill", "senders"])] == ["kill", "copies", "slow-senders"]
    assert len(choose([])) == len(ROWS)
    with pytest.raises(ValueError, match="there is no row 'nowhere'; choose from process"):
        choose(["nowhere"])
