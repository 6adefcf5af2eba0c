"""What differs between two configurations, key by key, without a secret in it."""

import json

from relay.config import Settings, compare, describe, find_changes, summarize
from relay.config.compare import Change, Difference

CHAT = {"trigger": {"type": "draft"}}
CRM = {"type": "webhook", "scheme": "bearer", "secret": "first-secret"}


def make(token="t", **blocks):
    return Settings.model_validate({"cargo": {"token": token}} | blocks)


def rule(name, **keys):
    return {"name": name, "chat": CHAT, **keys}


def differ(old, new, unset=()):
    return compare(describe(old), describe(new), unset)


def changes(old, new):
    return {change.key: change.change for change in summarize(differ(old, new)[0])}


def test_equal_configurations_do_not_differ():
    one, other = (make(sources={"crm": CRM}, rules=[rule("deal")]) for _ in range(2))
    assert differ(one, other) == ((), ())
    assert find_changes(one, other) == ()


def test_a_key_that_differs_has_both_values():
    [difference], _ = differ(make(), make(retry={"cap": "1m"}))
    assert difference == Difference("retry.cap", "changed", "5m", "1m")


def test_rules_and_sources_come_go_and_change_as_a_whole():
    old = make(sources={"crm": CRM, "gone": CRM}, rules=[rule("deal"), rule("old")])
    new = make(sources={"crm": CRM | {"limit": {"rate": "1/s"}}, "new": CRM}, rules=[rule("deal", stop=True)])
    assert changes(old, new) == {
        "sources.crm": "changed",
        "sources.gone": "removed",
        "sources.new": "added",
        "rules[deal]": "changed",
        "rules[old]": "removed",
    }


def test_another_order_of_the_rules_is_a_difference():
    one, two = rule("one"), rule("two")
    assert changes(make(rules=[one, two]), make(rules=[two, one])) == {"rules": "changed"}
    assert changes(make(rules=[one, two]), make(rules=[two])) == {"rules[one]": "removed"}


def test_a_secret_that_differs_is_named_and_never_shown():
    old, new = make(sources={"crm": CRM}), make(sources={"crm": CRM | {"secret": "second-secret"}})
    [difference], skipped = differ(old, new)
    assert (difference, skipped) == (Difference("sources.crm.secret", "changed"), ())
    text = json.dumps([describe(old), describe(new)])
    assert "first-secret" not in text
    assert "second-secret" not in text


def test_with_another_token_of_cargo_other_secrets_are_not_compared_and_named():
    differences, skipped = differ(make("t", sources={"crm": CRM}), make("u", sources={"crm": CRM}))
    assert [difference.key for difference in differences] == ["cargo.token"]
    assert skipped == ("sources.crm.secret",)


def test_where_both_are_known_secrets_are_compared_whatever_the_token_of_cargo():
    old = make("t", sources={"crm": CRM, "same": CRM})
    new = make("u", sources={"crm": CRM | {"secret": "second-secret"}, "same": CRM})
    assert find_changes(old, new) == (Change("cargo.token", "changed"), Change("sources.crm", "changed"))


def test_what_is_not_known_here_is_not_compared_and_named():
    old, new = make(sources={"crm": CRM}), make(sources={"crm": CRM | {"secret": "second-secret"}})
    assert differ(old, new, {"sources.crm.secret"}) == ((), ("sources.crm.secret",))
