"""Where vendors say what happened, and that nothing in a payload makes asking for it fail."""

import pytest

from relay.schemes import Headers, Identity, Request
from tests.schemes.cases import SCHEMES, way


def identify(scheme, headers, data):
    request = Request("POST", "", Headers.of(headers), b"", 0)
    return way(scheme).make().identify(request, data)


def test_github_names_an_event_by_header_and_action():
    headers = {"X-GitHub-Delivery": "d-1", "X-GitHub-Event": "issues"}
    data = {"action": "opened", "repository": {"full_name": "a/b"}}
    assert identify("github", headers, data) == Identity("d-1", "issues.opened", "a/b")
    assert identify("github", headers, {"zen": "Keep it simple"}) == Identity("d-1", "issues")
    assert identify("github", {}, None) == Identity()


def test_zendesk_names_an_event_in_the_body_and_an_invocation_in_a_header():
    data = {
        "id": "01H",
        "type": "zen:event-type:ticket.created",
        "subject": "zen:ticket:35436",
        "time": "2022-06-27T05:31:22Z",
    }
    header = {"X-Zendesk-Webhook-Invocation-Id": "inv"}
    expected = Identity("01H", "zen:event-type:ticket.created", "zen:ticket:35436", 1_656_307_882_000)
    assert identify("zendesk", header, data) == expected
    assert identify("zendesk", header, {"ticket": 1}) == Identity("inv")
    for record in ({"id": 35436}, {"id": "35436", "type": "ticket"}, {"id": "35436", "type": None}):
        assert identify("zendesk", header, record).external_id == "inv", "a trigger's body is the operator's"


BODIES = {
    "twilio": ({"id": "customer-17", "step": "greeted"}, {"I-Twilio-Idempotency-Token": "t-1"}, "t-1"),
    "gong": ({"callData": {"metaData": {"id": "45"}}}, {}, None),
    "customerio": ({"event_id": "42", "name": "Ann"}, {}, "sha256:"),
    "salesforce-callout": ({"id": "0065e", "type": "opportunity.won"}, {}, "sha256:"),
    "hubspot-v3": ({"eventId": "7"}, {}, "sha256:"),
}


@pytest.mark.parametrize("scheme", BODIES)
def test_an_id_in_a_body_that_an_operator_may_write_is_none_without_the_vendors_envelope(scheme):
    data, headers, wanted = BODIES[scheme]
    found = identify(scheme, headers, data).external_id
    assert found is wanted is None or found.startswith(wanted)


@pytest.mark.parametrize(
    ("scheme", "hashed"), [("freshdesk", True), ("helpscout", True), ("zoom", True), ("zendesk", True), ("gong", False)]
)
def test_an_id_that_is_a_hash_of_the_body_is_told_as_such(scheme, hashed):
    headers = {"X-HelpScout-Event": "convo.created"}
    assert identify(scheme, headers, {"event_type": "ticket.urgent"}).hashed is hashed


def test_standard_webhooks_names_an_event_in_a_header_and_its_type_in_the_body():
    data = {"type": "user.created", "timestamp": "2022-11-03T20:26:10.344522Z"}
    found = identify("standard-webhooks", {"webhook-id": "msg_1"}, data)
    assert (found.external_id, found.type) == ("msg_1", "user.created")
    assert abs(found.time - 1_667_507_170_345) <= 1
    assert identify("standard-webhooks", {"svix-id": "msg_2"}, data).external_id == "msg_2"


@pytest.mark.parametrize("scheme", ["none", "bearer", "basic", "hmac"])
def test_schemes_of_nobody_know_nothing(scheme):
    assert identify(scheme, {"id": "1"}, {"id": "1", "type": "x"}) == Identity()


SHAPES = [
    None, 5, "x", True, [], [[]], [1], {}, {"id": None}, {"id": {}}, {"id": True}, {"id": ""}, {"data": []},
    {"event": {"id": []}}, {"event": "x"}, {"time": 1e300}, {"timestamp": -1}, {"created_at": "x" * 100},
    {"": {"*": 1}}, {"data": {"id": float("1e300")}},
]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_data_of_any_shape_is_identified_without_a_fault(scheme):
    for data in SHAPES:
        found = identify(scheme, {"X-Id": "\udcff"}, data)
        assert all(value is None or isinstance(value, str) for value in (found.external_id, found.type, found.subject))
        assert found.time is None or isinstance(found.time, int)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_id_is_made_of_what_is_empty(scheme):
    """Two events that say nothing of themselves must not be taken for one another; the hash tells them apart."""
    one, other = identify(scheme, {}, {"x": 1}).external_id, identify(scheme, {}, {"x": 2}).external_id
    assert one is None or one != other


@pytest.mark.parametrize("scheme", ["hubspot-v1", "hubspot-v3"])
def test_two_records_of_one_hubspot_event_id_at_one_moment_are_two_events(scheme):
    """HubSpot: eventId is not guaranteed to be unique. A bulk edit has one moment for all its records."""
    event = {"portalId": 7, "subscriptionId": 1, "eventId": 100, "occurredAt": 1_700_000_000_000}
    told = [
        {"objectId": 5},
        {"objectId": 6},
        {"fromObjectId": 5, "toObjectId": 6},
        {"fromObjectId": 5, "toObjectId": 8},
        {},
    ]
    ids = [identify(scheme, {}, event | one).external_id for one in told]
    assert ids[0] == "7-1-100-1700000000000-5"
    assert len(set(ids)) == len(told)
    assert identify(scheme, {}, event | told[0] | {"attemptNumber": 3}).external_id == ids[0]


def test_a_message_that_is_unsent_is_no_repeat_of_it():
    """Instagram tells of both with the same mid."""
    said = {
        "object": "instagram",
        "id": "17",
        "timestamp": 1_700_000_000_000,
        "message": {"mid": "m1", "text": "Hello"},
    }
    unsent = said | {"message": {"mid": "m1", "is_deleted": True}}
    assert [identify("meta", {}, one).external_id for one in (said, unsent)] == ["m1", "m1:deleted"]


def test_every_kind_of_update_of_telegram_has_its_type():
    update = {"update_id": 7, "business_message": {"date": 1_700_000_000, "chat": {"id": 3}}}
    assert identify("telegram", {}, update) == Identity("7", "business_message", "3", 1_700_000_000_000)
    for kind in ("chosen_inline_result", "chat_boost", "deleted_business_messages", "shipping_query"):
        assert identify("telegram", {}, {"update_id": 8, kind: {}}).type == kind


@pytest.mark.parametrize("no_id", [" ", "00000000-0000-0000-0000-000000000000", "undefined", "null"])
def test_what_a_program_without_an_id_writes_is_none(no_id):
    assert identify("linear", {"Linear-Delivery": no_id}, {"type": "Issue"}).external_id.startswith("sha256:")
