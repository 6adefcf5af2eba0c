"""`POST /api/erase`: what is asked for, what comes back."""

import pytest

from relay.model import Erased, Erasure, Spared, State
from tests.ops.test_api import post


async def test_what_was_done_is_told(http, desk):
    desk.erased = Erased(2, 1, 3, ("chat-1",), (Spared("e-1", "d-1", State.SENDING),), compacted=True)
    document = await post(http, "/api/erase", json={"subject": "kim@acme.com", "source": "helpdesk"})
    assert document == {
        "erased": 2,
        "cancelled": 1,
        "requests": 3,
        "chats": ["chat-1"],
        "left": [{"eventId": "e-1", "dispatchId": "d-1", "state": "sending"}],
        "compacted": True,
    }
    await post(http, "/api/erase", json={"label": "customer:Acme"})
    await post(http, "/api/erase", json={"externalId": "t-1"})
    assert desk.erasures == [
        Erasure(subject="kim@acme.com", source="helpdesk"),
        Erasure(label=("customer", "Acme")),
        Erasure(external_id="t-1"),
    ]
    assert desk.bys == ["local"] * 3


@pytest.mark.parametrize(
    "body", [{}, {"source": "helpdesk"}, {"subject": "a", "externalId": "b"}, {"label": "acme"}, {"subject": ""}]
)
async def test_one_of_the_three_must_be_given(http, desk, body):
    document = await post(http, "/api/erase", 400, json=body)
    assert document["detail"]
    assert desk.erasures == []
