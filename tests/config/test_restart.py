"""Which keys a reload puts into force: each stands in one of two lists, and what needs a restart is held."""

import re
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from relay.config import RESTART, Settings, hold

HANDBOOK = Path(__file__).parents[2] / "config" / "README.md"
BASE = {"cargo": {"token": "t"}}
WITHOUT_SERVICE = {"defaults", "tests"}
"""`defaults` is in the rules when they are loaded; `tests` are for `relay check`."""
WHOLE = {"vars", "sources", "rules"}
LIVE = {
    *("cargo.token", "cargo.rate", "cargo.settle", "cargo.workspace_uuid"),
    *("ledger.retain", "ledger.remember", "ledger.high_water", "ledger.retain_unmatched", "ledger.max_unmatched"),
    *("http.token", "http.tokens", "http.public_url", "http.trusted_proxies"),
    *("retry.first", "retry.cap", "retry.give_up_after"),
    *("alerts.backlog", "vars", "sources", "rules"),
}
"""What a reload puts into force: all that is not held. A new key stands here or in `RESTART`."""


def make(**blocks):
    return Settings.model_validate(BASE | blocks)


def _block(annotation):
    kinds = [annotation, *typing.get_args(annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def test_every_key_stands_in_one_of_the_lists_and_no_other():
    keys = set(WHOLE)
    for name, field in Settings.model_fields.items():
        if name not in WHOLE | WITHOUT_SERVICE:
            keys |= {f"{name}.{key}" for key in _block(field.annotation).model_fields}
    assert keys == LIVE | RESTART
    assert not LIVE & RESTART


def test_what_is_live_is_taken():
    started = make()
    new = make(cargo={"token": "u"}, retry={"cap": "1m"}, vars={"a": 1}, ledger={"retain": "7d"})
    assert hold(new, started) == (new, ())


def test_what_needs_a_restart_stays_as_it_was_and_the_rest_of_its_block_is_taken():
    started = make()
    new = make(ledger={"retain": "7d", "url": "sqlite:///other.db"}, http={"ops": "127.0.0.1:9"})
    settings, keys = hold(new, started)
    assert keys == ("ledger.url", "http.ops")
    assert (settings.ledger.url, settings.ledger.retain) == (started.ledger.url, new.ledger.retain)
    assert settings.http == started.http


@pytest.mark.parametrize("turned", [False, True])
def test_a_broker_that_comes_or_goes_needs_a_restart(turned):
    started, new = make(), make(broker={"url": "amqp://localhost"})
    if turned:
        started, new = new, started
    settings, keys = hold(new, started)
    assert keys == ("broker",)
    assert settings.broker == started.broker


def test_a_listener_that_others_reach_keeps_its_token_until_it_is_closed():
    started = make(http={"ops": "0.0.0.0:8081", "token": "a-token-of-ops"})
    settings, keys = hold(make(http={"ops": "127.0.0.1:8081"}), started)
    assert keys == ("http.ops", "http.token")
    assert settings.http.token == started.http.token


def test_the_handbook_names_what_needs_a_restart_and_nothing_else():
    text = HANDBOOK.read_text().partition("\n## Changes\n")[2].partition("\n## ")[0]
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert {key for line in table for key in re.findall(r"`(\w+\.\w+)`", line)} == RESTART
