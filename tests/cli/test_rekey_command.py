"""rekey: what was kept plain, or under a former key, comes under today's."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path

import pytest

from relay.ledger import Terms, Vault, open_ledger
from relay.secret import Secret
from tests.ledger.build import make_entry

KEY, FORMER = (b64encode(bytes(range(at, at + 32))).decode() for at in (0, 32))


async def hold(keys, *entries):
    """What the ledger holds after these have come in."""
    ledger = await open_ledger("sqlite:///relay.db", Terms(owner="one"), vault=keys)
    try:
        for entry in entries:
            await ledger.accept([entry])
        return [claim.dispatch.message or claim.locked for claim in await ledger.claim(10)]
    finally:
        await ledger.aclose()


@pytest.fixture
def write(tmp_path, relay, monkeypatch):
    def write(encrypt):
        (tmp_path / "relay.yaml").write_text(f"cargo: {{token: t}}\nencrypt: {encrypt}\n")
        monkeypatch.setenv("RELAY_CONFIG", "relay.yaml")

    return write


def test_rekey_encrypts_what_was_plain_and_says_how_much(relay, write):
    asyncio.run(hold(Vault(), make_entry(dispatch={"message": "a canary"})))
    write(f"{{key: '{KEY}'}}")
    result = relay("rekey")
    assert result.exit_code == 0
    assert "encrypted: 0 learned, 0 kept, 1 events, 1 dispatches, 0 results" in result.stdout
    assert "events: 1 rows checked" in result.stderr
    assert b"a canary" not in Path("relay.db").read_bytes()
    assert json.loads(relay("rekey", "--json").stdout)["changed"]["events"] == 0


def test_rows_whose_key_is_not_configured_are_counted_and_left(relay, write):
    asyncio.run(hold(Vault(Secret(FORMER)), make_entry(dispatch={"message": "a canary"})))
    write(f"{{key: '{KEY}'}}")
    result = relay("rekey")
    assert result.exit_code == 1
    assert f"2 rows cannot be read: key {Vault(Secret(FORMER)).key_id} is not here" in result.stdout
    write(f"{{key: '{KEY}', old: ['{FORMER}']}}")
    assert relay("rekey").exit_code == 0
    assert asyncio.run(hold(Vault(Secret(KEY)))) == []  # the claim of before was voided and is looked for at Cargo


def test_an_embedded_ledger_in_use_is_left_alone(relay, write):
    write(f"{{key: '{KEY}'}}")

    async def use():
        ledger = await open_ledger("sqlite:///relay.db", Terms(owner="one"))
        try:
            return await asyncio.to_thread(relay, "rekey")
        finally:
            await ledger.aclose()

    result = asyncio.run(use())
    assert result.exit_code == 2
    assert "in use by another relay" in result.stderr
    assert "stop that one" in result.stderr
