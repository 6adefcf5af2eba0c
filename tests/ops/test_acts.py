"""Who did what: the actor of each request, the list of acts, and acts in the timeline."""

import pytest

from relay.model import EventDetail, EventStatus
from relay.ops.timeline import trace
from relay.secret import Secret
from tests.ops.desk import NOW, make_act, make_dispatch, make_event, make_failed, make_id

CALLS = (
    ("events/0190-1/replay", {}),
    ("dispatches/d-0190-1/retry", {}),
    ("dispatches/d-0190-1/cancel", {}),
    ("sources/helpdesk/pause", {}),
    ("sources/helpdesk/resume", {}),
    ("sources/helpdesk/readmit", {}),
    ("dead/requeue", {}),
    ("sources/helpdesk/forget", {}),
)


@pytest.mark.parametrize(("token", "name"), [(None, "local"), (Secret("right"), "token")])
async def test_every_act_has_its_actor(aiohttp_client, make_app, memory, desk, token, name):
    client = await aiohttp_client(make_app(token) if token else make_app())
    event, dispatch, *_ = make_failed(1)
    memory.add(event, dispatch)
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    assert (await client.get("/api/sources/helpdesk/secret", headers=headers)).status == 200
    for path, body in CALLS:
        answer = await client.post(f"/api/{path}", json=body, headers=headers)
        assert answer.status == 200, path
    assert desk.bys == [name] * (len(CALLS) + 1)


async def test_acts_are_listed_in_pages(http, memory):
    memory.act_rows = [make_act(2, id=make_id(2), detail="again"), make_act(1, id=make_id(1))]
    document = await (await http.get("/api/acts?limit=1")).json()
    assert document["cursor"] == make_id(2)
    assert {name: document["acts"][0][name] for name in ("actor", "act", "target", "detail")} == {
        "actor": "kim",
        "act": "source.paused",
        "target": "helpdesk",
        "detail": "again",
    }
    rest = await (await http.get(f"/api/acts?cursor={make_id(2)}")).json()
    assert ([act["id"] for act in rest["acts"]], rest["cursor"]) == ([make_id(1)], None)


def test_an_act_is_a_step_of_the_timeline():
    event = make_event()
    dispatch = make_dispatch(event)
    acts = (
        make_act(1, at=NOW + 40, act="dispatch.retried", target=dispatch.id, detail="rendered"),
        make_act(2, at=NOW + 50, act="event.replayed", target=event.id),
    )
    steps = trace(EventDetail(event, EventStatus.ACCEPTED, (dispatch,), (), (), acts=acts))
    told = [(step.what, step.dispatch_id, step.rule, step.detail) for step in steps[-2:]]
    assert told == [
        ("dispatch.retried", dispatch.id, "urgent", "by kim, rendered"),
        ("event.replayed", None, None, "by kim"),
    ]
