"""`relay erase` against a running API."""

import json

import pytest

from relay.model import Erased, Erasure, Spared, State
from tests.cli.test_ledger_commands import run_on_a_terminal

pytestmark = pytest.mark.usefixtures("url")


def test_it_says_what_is_left_to_do(relay, desk):
    desk.erased = Erased(2, 1, 3, ("chat-1",), (Spared("e-1", "d-1", State.SENDING),))
    result = relay("erase", "--label", "customer=Acme", "--source", "helpdesk")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "events erased: 2, dispatches cancelled: 1",
        "refused requests deleted: 3",
        "chat chat-1 is in Cargo still: delete it there",
        "the ledger's files may hold old pages still: see Erasing in the README for how to be rid of them",
    ]
    assert "event e-1 is left, because dispatch d-1 is sending: erase again when it has ended" in result.stderr
    assert desk.erasures == [Erasure(label=("customer", "Acme"), source="helpdesk")]


def test_all_erased_is_exit_code_0(relay, desk):
    desk.erased = Erased(1, compacted=True)
    result = relay("erase", "--external-id", "t-1")
    assert (result.exit_code, result.stdout) == (0, "events erased: 1, dispatches cancelled: 0\n")
    assert json.loads(relay("erase", "--subject", "a", "--json").stdout)["erased"] == 1


@pytest.mark.parametrize("options", [(), ("--subject", "a", "--external-id", "b"), ("--label", "acme")])
def test_one_of_the_three_must_be_given(relay, desk, options):
    assert relay("erase", *options).exit_code == 2
    assert desk.erasures == []


def test_it_asks_on_a_terminal_unless_told_not_to(desk):
    declined = run_on_a_terminal("erase", "--subject", "kim", "--source", "helpdesk", typed=b"n\n")
    assert declined.returncode == 1
    assert "Erase for good what all events of helpdesk with the subject 'kim' brought? [y/N]" in declined.stderr
    assert desk.erasures == []
    assert run_on_a_terminal("erase", "--subject", "kim", typed=b"y\n").returncode == 0
    assert run_on_a_terminal("erase", "--subject", "kim", "--yes", typed=b"").returncode == 0
    assert len(desk.erasures) == 2
