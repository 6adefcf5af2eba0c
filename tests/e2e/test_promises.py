"""The checks of what keys of rules promise find what breaks it."""

import re
from operator import lt

import pytest

from tests.e2e.promises import (
    Kept,
    by_rule,
    check_each,
    check_gathering,
    check_once,
    check_order,
    check_thread,
    check_windows,
)

SENT = (0, 1, 2, 3)


def chat(number, *texts):
    messages = [{"type": "user", "parts": [{"text": text}]} for text in texts]
    return {"trigger": {"meta": {"id": str(number)}}, "messages": [*messages, {"type": "assistant", "parts": []}]}


def kept(chats, states="", by=()):
    """What came of four events of two keys; `states` has a letter each: d for done, s for superseded, h for held."""
    words = {"d": "done", "s": "superseded", "h": "held"}
    dispatches = [{"id": str(number), "number": number, "state": words[each]} for number, each in enumerate(states)]
    return Kept(SENT, lambda number: number % 2, lt, chats, dispatches, dict(by))


WON = {"0": "2", "1": "3"}
HOLDS = [
    (check_each, kept([*map(chat, SENT)])),
    (check_once, kept([chat(0), chat(1)])),
    (check_order, kept([chat(1), chat(0), chat(2), chat(3)])),
    (check_thread, kept([chat(0, "0", "2"), chat(1, "1", "3")])),
    (check_windows, kept([chat(2), chat(3)], "ssdd", WON)),
    (check_gathering, kept([chat(2, "0,2"), chat(3, "1,3")], "ssdd", WON)),
]
BREAKS = [
    (check_each, kept([*map(chat, (0, 1, 2))]), "chats of event 3: 0, not 1"),
    (check_once, kept([chat(0), chat(1), chat(2)]), "chats of key 0: 2, not 1"),
    (check_order, kept([chat(2), chat(0), chat(1), chat(3)]), "event 0 goes after 2, and came before it"),
    (check_thread, kept([chat(0, "2", "0"), chat(1, "1", "3")]), "event 0 goes after 2, and came before it"),
    (check_thread, kept([chat(0, "0", "2", "2"), chat(1, "1", "3")]), "messages of event 2: 2, not 1"),
    (check_thread, kept([chat(0, "0", "2", "3"), chat(1, "1")]), r"in the chat of key 0 was said \[3\]"),
    (check_windows, kept([chat(2), chat(3)], "shdd", WON), "event 1 is held"),
    (check_windows, kept([chat(2), chat(3)], "ssd", WON), "dispatches of event 3: 0, not 1"),
    (check_windows, kept([chat(0), chat(3)], "dssd", {"2": "0", "1": "3"}), "2 is superseded by 0, which"),
    (check_windows, kept([chat(2), chat(3)], "ssdd", {"0": "1", "1": "3"}), "0 is superseded by one that does not go"),
    (check_gathering, kept([chat(2, "0,2"), chat(3, "3")], "ssdd", WON), "chats that see event 1: 0, not 1"),
    (check_gathering, kept([chat(2, "2,0"), chat(3, "1,3")], "ssdd", WON), "event 0 goes after 2"),
    (check_gathering, kept([chat(2, "2,1"), chat(3, "0,3")], "ssdd", WON), "a chat sees events of several keys"),
]


@pytest.mark.parametrize(("check", "found"), HOLDS)
def test_what_holds_is_not_reported(check, found):
    assert list(check(found)) == []


@pytest.mark.parametrize(("check", "found", "said"), BREAKS)
def test_what_breaks_is_reported(check, found, said):
    assert re.search(said, "; ".join(check(found)))


def test_the_dispatches_of_a_rule_have_the_numbers_of_their_events():
    events = [{"externalId": "msg_7", "dispatches": [{"id": "a", "rule": "one"}, {"id": "b", "rule": "two"}]}]
    assert by_rule(events)["two"] == [{"id": "b", "rule": "two", "number": 7}]
