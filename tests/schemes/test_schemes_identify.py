"""Where vendors say what happened."""

import pytest

from relay.schemes import Headers, Identity, Request, SchemeSpec, build, moment
from relay.schemes.phrase import place
from relay.secret import Secret

SECRETS = {"standard-webhooks": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "basic": "user:password"}


def identify(scheme, headers, data):
    given = {"header": "x-s"} if scheme == "hmac" else {}
    secrets = () if scheme == "none" else (Secret(SECRETS.get(scheme, "secret")),)
    built = build(SchemeSpec(scheme, secrets, given))
    return built.identify(Request("POST", "", Headers.of(headers), b"", 0), data)


def test_github_names_an_event_by_header_and_action():
    headers = {"X-GitHub-Delivery": "d-1", "X-GitHub-Event": "issues"}
    data = {"action": "opened", "repository": {"full_name": "a/b"}}
    assert identify("github", headers, data) == Identity("d-1", "issues.opened", "a/b")
    assert identify("github", headers, {"zen": "Keep it simple"}) == Identity("d-1", "issues")
    assert identify("github", {}, {}) == Identity()


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
    assert identify("zendesk", header, {"id": 35436}).external_id == "35436"


def test_standard_webhooks_names_an_event_in_a_header_and_its_type_in_the_body():
    data = {"type": "user.created", "timestamp": "2022-11-03T20:26:10.344522Z"}
    expected = Identity("msg_1", "user.created", None, 1_667_507_170_345)
    found = identify("standard-webhooks", {"webhook-id": "msg_1"}, data)
    assert (found.external_id, found.type) == (expected.external_id, expected.type)
    assert abs(found.time - expected.time) <= 1


@pytest.mark.parametrize("scheme", ["none", "bearer", "basic", "hmac"])
def test_schemes_of_nobody_know_nothing(scheme):
    assert identify(scheme, {"id": "1"}, {"id": "1", "type": "x"}) == Identity()


@pytest.mark.parametrize("data", [None, 5, "x", [], {"id": None}, {"id": {}}, {"id": True}, {"id": ""}])
def test_data_of_any_shape_is_identified_without_a_fault(data):
    assert identify("zendesk", {}, data).external_id is None


def test_a_place_with_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="names 'body'"):
        place("{{ body }}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.9, 1_700_000_000_000),
        ("1700000000123", 1_700_000_000_123),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        (True, None),
        (float("inf"), None),
        (float("nan"), None),
        (-5, None),
        (10**400, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        (None, None),
        ([], None),
    ],
)
def test_times_in_payloads_are_read_or_left_out(value, expected):
    assert moment.find(value) == expected
