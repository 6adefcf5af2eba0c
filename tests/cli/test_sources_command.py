"""sources: who can send, and how to set one up."""

import json

from relay.schemes import names, vendor


def test_all_are_listed_crms_and_helpdesks_first(relay):
    listed = [line.split()[0] for line in relay("sources").stdout.splitlines()[1:]]
    assert set(listed) == names()
    kinds = [vendor(name).category for name in listed]
    assert kinds[0] == "crm"
    assert kinds.index("helpdesk") < kinds.index("development")


def test_one_category_of_them(relay):
    listed = {line.split()[0] for line in relay("sources", "--category", "helpdesk").stdout.splitlines()[1:]}
    assert listed == {name for name in names() if vendor(name).category == "helpdesk"}


def test_one_is_told_in_full_step_by_step_with_the_address(relay):
    told = relay("sources", "zendesk", "--url", "https://relay.example/hooks/helpdesk").stdout
    assert "Zendesk (scheme zendesk)" in told
    assert "hmac-sha256 in X-Zendesk-Webhook-Signature" in told
    assert "3. Set the endpoint URL to https://relay.example/hooks/helpdesk, method POST" in told
    assert "https://developer.zendesk.com/documentation/webhooks/verifying/" in told


def test_each_can_be_told_in_full(relay):
    for name in sorted(names()):
        told = relay("sources", name)
        assert told.exit_code == 0
        assert f"(scheme {name})" in told.stdout
        assert "1. " in told.stdout
        assert "{url}" not in told.stdout


def test_as_json(relay):
    (told,) = json.loads(relay("sources", "hubspot", "--json").stdout)
    assert (told["scheme"], told["accepts"]) == ("hubspot", ["hubspot-v3"])
    assert told["versions"] == ["hubspot-v3", "hubspot-v2", "hubspot-v1"]
    assert told["setup"]
    assert told["facts"]
    assert len(json.loads(relay("sources", "--json").stdout)) == len(names())


def test_a_name_or_category_that_is_none_is_one_plain_line(relay):
    wrong = relay("sources", "zendisk")
    assert (wrong.exit_code, wrong.stderr) == (1, "relay: there is no scheme 'zendisk'; did you mean zendesk?\n")
    assert "there is no category 'toys'" in relay("sources", "--category", "toys").stderr
