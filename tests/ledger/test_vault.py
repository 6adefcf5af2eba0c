"""Bodies and secrets at rest: illegible to whoever has the file, bound to their place, brought from key to key."""

import sqlite3
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from relay.ledger import SqlLedger, Terms, Unusable, Vault, open_ledger, rekey_ledger
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.ledger.engine.sqlite import SqliteStore
from relay.ledger.engine.vault import MARK, Locked
from relay.ledger.queries.rekey import rekey
from relay.ledger.schema import events, results
from relay.model import EventQuery, Failure, Kept, ParkReason, Rejection, Skip, State, Why, tell
from relay.secret import Secret, key_bytes
from tests.ledger.build import created, make_entry, make_event, move
from tests.ledger.conftest import FORMER, KEY

HUSH = "hush-hush-a-canary"
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])
NEXT = Vault(KEY, [FORMER])
LOST = Failure("unknown", "its outcome is not known")


@pytest.fixture
async def opened(request, tmp_path, clock, kind):
    """Opens one and the same ledger with a vault, again and again."""
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    made = []

    async def open_with(vault):
        while made:
            await made.pop().aclose()
        if url:
            store = PostgresStore(connect(url, password=None, ca_file=None, vault=vault), clock=clock)
        else:
            store = SqliteStore(str(tmp_path / "relay.db"), clock=clock, vault=vault)
        await store.write(steps.upgrade)
        made.append(SqlLedger(store, Terms(owner="one", lease=40_000)))
        return made[0]

    yield open_with
    while made:
        await made.pop().aclose()


async def fill(ledger, clock, number=1):
    """Something in each of the places where a stranger's words, or a secret, are kept."""
    body = {"told": HUSH}
    entry = make_entry(f"x-{number}", body=body, dispatch={"message": HUSH, "name": HUSH})
    dispatch = replace(entry.dispatches[0], body=f'{{"name":"{HUSH}"}}')
    told = tell.parked(entry.event.about(), dispatch, ParkReason.UNKNOWN, LOST, attempts=1, now=1)
    await ledger.accept([replace(entry, dispatches=(dispatch,), results=(told,))])
    request = Kept("POST", f"https://x/?{HUSH}", {"x-signature": HUSH}, HUSH.encode(), clock.now + 60_000)
    await ledger.reject(Rejection(f"r-{number}", 1, "shop", 401, "wrong", "", None, {}, 3, "ab", request))
    await ledger.learn(f"notion-{number}", Secret(HUSH))
    return entry.event, dispatch


async def check(ledger, event, dispatch, number=1):
    """All of it can be read as it was."""
    assert (await ledger.load(event.id)).data == event.data
    _, found = await ledger.dispatch(dispatch.id)
    assert (found.body, found.message, found.name) == (dispatch.body, HUSH, HUSH)
    assert [one.kept.body for one in await ledger.refused("shop", 9, None) if one.id == f"r-{number}"] == [
        HUSH.encode()
    ]
    assert (await ledger.learned())[f"notion-{number}"].reveal() == HUSH
    assert (await ledger.event(event.id)).results[0].result.data["name"] == HUSH


def bytes_on_disk(folder):
    return b"".join(path.read_bytes() for path in Path(folder).iterdir())


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_what_is_encrypted_is_nowhere_on_the_disk_and_what_was_plain_is_gone_after_rekey(opened, tmp_path, clock):
    plain = await opened(Vault())
    event, dispatch = await fill(plain, clock)
    assert HUSH.encode() in bytes_on_disk(tmp_path)
    sealed = await opened(NEXT)
    await check(sealed, event, dispatch)
    await sealed.aclose()
    shown = []
    done = await rekey_ledger(f"sqlite:///{tmp_path}/relay.db", NEXT, lambda *seen: shown.append(seen))
    assert done.changed == {"learned": 1, "kept": 1, "events": 1, "dispatches": 1, "results": 1}
    assert shown[-1] == ("results", 1, 1)
    sealed = await opened(NEXT)
    second = await fill(sealed, clock, 2)
    assert HUSH.encode() not in bytes_on_disk(tmp_path)
    assert b64encode(HUSH.encode())[:20] not in bytes_on_disk(tmp_path)
    await check(sealed, event, dispatch)
    await check(sealed, *second, 2)


@KINDS
async def test_rekey_goes_from_key_to_key_beside_a_relay_and_back_to_plain(opened, clock, monkeypatch):
    monkeypatch.setattr("relay.ledger.queries.rekey.MOST", 2)
    monkeypatch.setattr("relay.ledger.queries.rekey.STRIDE", 3)
    ledger = await opened(Vault(FORMER))
    kept = [await fill(ledger, clock, number) for number in range(5)]
    ledger = await opened(NEXT)
    kept += [await fill(ledger, clock, number) for number in range(5, 8)]

    done = await rekey(ledger._store, NEXT, lambda *_: None)
    assert set(done.changed.values()) == {5}, "what has the key already is left alone"
    assert (await rekey(ledger._store, NEXT, lambda *_: None)).changed.total() == 0
    ledger = await opened(Vault(KEY))
    for number, (event, dispatch) in enumerate(kept):
        await check(ledger, event, dispatch, number)

    back = await rekey(ledger._store, Vault(None, [KEY]), lambda *_: None)
    assert set(back.changed.values()) == {8}
    assert (await rekey(ledger._store, Vault(None, [KEY]), lambda *_: None)).changed.total() == 0
    ledger = await opened(Vault())
    for number, (event, dispatch) in enumerate(kept):
        await check(ledger, event, dispatch, number)


@KINDS
async def test_skips_with_the_body_of_a_shadow_rule_are_encrypted_wherever_they_stand(opened):
    """The body has a name of its own, which is not the name that results have."""
    entry = make_entry("s", rules=(), reply_to="answers")
    skips = (Skip("trial", Why.SHADOW, {"name": HUSH, "meta": {"name": HUSH}}),)
    told = tell.unmatched(entry.event, skips, now=1)
    plain = await opened(Vault())
    await plain.accept([replace(entry, skips=skips, results=(told,))])
    back = Vault(None, [KEY])
    for vault, changed in ((NEXT, {"events": 1, "results": 1}), (back, {"events": 1, "results": 1}), (back, {})):
        ledger = await opened(vault)
        assert (await rekey(ledger._store, vault, lambda *_: None)).changed == Counter(changed)
        detail = await ledger.event(entry.event.id)
        assert (detail.skips, detail.results[0].result.data["skips"][0]["detail"]) == (skips, skips[0].detail)

        def texts(conn, _now):
            return [conn.execute(select(column)).scalar_one() for column in (events.c.skips, results.c.data)]

        assert any(HUSH in text for text in await ledger._store.read(texts)) is (vault is back)
    ledger = await opened(NEXT)
    await rekey(ledger._store, NEXT, lambda *_: None)
    stranger = await (await opened(Vault())).event(entry.event.id)
    assert (stranger.skips, stranger.results[0].result.data["skips"]) == ((), None)


async def test_the_command_s_rekey_works_beside_the_relays_of_a_postgresql(tmp_path, postgres_url, clock):
    silent = {"progress": lambda *_: None}
    with pytest.raises(Unusable, match="run `relay migrate`"):
        await rekey_ledger(postgres_url, NEXT, **silent)
    relay = await open_ledger(postgres_url, Terms(owner="one", lease=40_000), migrate=True, vault=Vault(FORMER, [KEY]))
    try:
        event, dispatch = await fill(relay, clock)
        done = await rekey_ledger(postgres_url, NEXT, **silent)
        assert set(done.changed.values()) == {1}
        assert not done.locked
        assert (await relay.event(event.id)).dispatches[0].message == HUSH, "it reads by the new key as well"
        await fill(relay, clock, 2)
        assert set((await rekey_ledger(postgres_url, NEXT, **silent)).changed.values()) == {1}
    finally:
        await relay.aclose()
    relay = await open_ledger(postgres_url, Terms(owner="one", lease=40_000), vault=Vault(KEY))
    try:
        assert (await relay.load(event.id)).data == event.data
        assert (await relay.dispatch(dispatch.id))[1].name == HUSH
    finally:
        await relay.aclose()


@KINDS
async def test_a_text_is_looked_for_in_plain_bodies_alone_and_the_page_says_so(opened, clock):
    ledger = await opened(Vault())
    plain, _ = await fill(ledger, clock)
    assert (await ledger.events(EventQuery(text=HUSH))).notice is None
    ledger = await opened(NEXT)
    await fill(ledger, clock, 2)
    page = await ledger.events(EventQuery(text=HUSH))
    assert [view.id for view in page.events] == [plain.id]
    assert "encrypted" in page.notice
    assert "not searched by text" in page.notice
    assert [view.external_id for view in (await ledger.events(EventQuery(text="x-2"))).events] == ["x-2"]
    assert (await ledger.events(EventQuery())).notice is None


@KINDS
async def test_a_follow_up_without_its_key_is_not_taken_for_a_blank_one(opened):
    texts = {"plan": {"thread": {"key": "t", "idle": 1_000}}, "message": HUSH, "follow": HUSH}
    ledger = await opened(Vault(FORMER))
    await ledger.accept([make_entry(dispatch=texts)])
    [claim] = await ledger.claim(9)
    await ledger.record(created(claim))
    [message] = await ledger.claim(9)
    await ledger.record(move(message, State.DONE, message_uuid="m-1"))
    await ledger.accept([make_entry(dispatch=texts)])
    [claim] = await (await opened(Vault(KEY))).claim(9)
    assert (claim.follows, claim.dispatch.message, claim.locked is None) == (True, "", False)


@KINDS
async def test_a_missing_key_stops_only_what_needs_it_and_is_named(opened, clock, caplog):
    ledger = await opened(Vault(FORMER))
    event, dispatch = await fill(ledger, clock)
    ledger = await opened(Vault(KEY))
    second, other = await fill(ledger, clock, 2)
    key = Vault(FORMER).key_id

    claims = {claim.dispatch.id: claim for claim in await ledger.claim(9)}
    assert claims[other.id].locked is None
    assert claims[other.id].dispatch.message == HUSH
    assert f"key {key}" in claims[dispatch.id].locked
    assert claims[dispatch.id].dispatch.message == "", "still wanted, once it can be read"

    detail = await ledger.event(event.id)
    assert key in detail.event.unreadable
    assert (detail.dispatches[0].failure.code, detail.dispatches[0].body) == ("locked", None)
    assert detail.results[0].result.data["name"] is None, "all else of a result can be told"
    assert {view.id for view in (await ledger.events(EventQuery())).events} == {event.id, second.id}
    for asked in (ledger.load(event.id), ledger.dispatch(dispatch.id)):
        with pytest.raises(Locked, match=key):
            await asked
    assert [(one.reason, one.kept is None) for one in await ledger.refused("shop", 9, None)] == [
        ("locked", True),
        ("wrong", False),
    ]
    assert set(await ledger.learned()) == {"notion-2"}
    assert not await ledger.learn("notion-1", Secret(HUSH)), "it may not be replaced unseen"
    assert len(await ledger.due(9)) == 2
    assert len(await ledger.follow(0, 9)) == 2
    await ledger.cancel(dispatch.id)

    done = await rekey(ledger._store, Vault(KEY), lambda *_: None)
    assert done.locked == {f"key {key} is not here": 5}
    ledger = await opened(NEXT)
    await check(ledger, event, dispatch)


@KINDS
async def test_what_is_encrypted_cannot_be_put_into_another_place(opened, clock):
    ledger = await opened(Vault(KEY))
    first, second = make_event("a", body={"pay": 1}), make_event("b", body={"pay": 1_000})
    for event in (first, second):
        await ledger.accept([replace(make_entry(), event=event, dispatches=())])

    def swap(conn, _now):
        raw = conn.execute(select(events.c.raw).where(events.c.id == second.id)).scalar_one()
        conn.execute(update(events).where(events.c.id == first.id).values(raw=raw))

    await ledger.write(swap)
    assert (await ledger.load(second.id)).data == {"pay": 1_000}
    with pytest.raises(Locked, match="was changed"):
        await ledger.load(first.id)


@KINDS
@pytest.mark.parametrize("vault", [Vault(), Vault(KEY)], ids=["plain", "sealed"])
async def test_a_stranger_who_writes_as_we_do_is_read_as_they_wrote(opened, clock, vault):
    ledger = await opened(vault)
    forged = f"{MARK}{Vault(KEY).key_id}:AAAA"
    entry = make_entry("f", dispatch={"message": forged, "name": forged})
    event = replace(entry.event, raw=forged.encode(), unreadable="not JSON", data=None)
    dispatch = entry.dispatches[0]
    told = tell.parked(event.about(), dispatch, ParkReason.UNKNOWN, LOST, attempts=1, now=1)
    await ledger.accept([replace(entry, event=event, results=(told,))])
    assert (await ledger.load(event.id)).raw == forged.encode()
    [claim] = await ledger.claim(1)
    assert (claim.dispatch.message, claim.dispatch.name, claim.locked) == (forged, forged, None)
    assert (await ledger.follow(0, 1))[0][1].data["name"] == forged
    assert claim.state is State.SENDING


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_sealed_column_is_what_its_docstring_says(opened, tmp_path, clock):
    ledger = await opened(Vault(KEY))
    await fill(ledger, clock)
    head = f"sealed1:{Vault(KEY).key_id}:"
    with sqlite3.connect(tmp_path / "relay.db") as conn:
        [raw] = conn.execute("SELECT raw FROM events").fetchone()
        [body] = conn.execute("SELECT body FROM dispatches").fetchone()
    conn.close()
    assert raw.startswith(head.encode())
    assert body.startswith(head)
    assert len(raw) == len(head) + 12 + len('{"told": "hush-hush-a-canary"}') + 16


def test_a_key_is_base64_of_either_alphabet_or_hex():
    raw = bytes(range(224, 256))
    plain, url_safe = b64encode(raw).decode(), b64encode(raw, b"-_").decode()
    for text in (plain, url_safe, plain.rstrip("="), raw.hex(), raw.hex().upper(), f" {plain}\n"):
        assert key_bytes(text) == raw
    for text in ("", "change-me", plain[:-4], plain + "AAAA", raw.hex() + "00", "é" * 43, b64encode(raw[:16]).decode()):
        with pytest.raises(ValueError, match="openssl rand -base64 32"):
            key_bytes(text)
