"""What every ledger promises of refused requests: bounded, listed, kept whole for a while, readmitted once."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from relay.errors import Refused
from relay.ledger.queries.refused import AT_ONCE, MOST, SPACE
from relay.ledger.schema import kept, rejections
from relay.model import Kept, RefusalGroup, Rejection, RejectionView

SIGNED = {"x-signature": "sha256=hush-signature", "content-type": "application/json"}
MINUTE = 60_000


def refuse(number, source="helpdesk", **changes):
    made = Rejection(
        f"{source}-{number:05}", number, source, 401, "signature_wrong", "rotate", "::1", {"host": "h"}, 3, "ab"
    )
    return replace(made, **changes)


def whole(number, clock, body=b'{"hush": "body"}', *, source="helpdesk", headers=SIGNED, lasts=MINUTE):
    url = f"https://relay.example/hooks/{source}?token=hush-url"
    return refuse(number, source, kept=Kept("POST", url, headers, body, clock.now + lasts))


async def keep(ledger, *refused):
    for one in refused:
        await ledger.reject(one)
    return list(refused)


async def kept_ids(ledger, source="helpdesk"):
    return [one.id for one in await ledger.refused(source, MOST + 1, None)]


async def test_refused_requests_newest_first_of_all_or_of_one_source(ledger):
    one, two, three = await keep(ledger, refuse(1), refuse(2, "shop"), refuse(3))
    assert await ledger.rejected(None, 10) == [RejectionView(three), RejectionView(two), RejectionView(one)]
    assert await ledger.rejected(None, 2) == [RejectionView(three), RejectionView(two)]
    assert await ledger.rejected("shop", 10) == [RejectionView(two)]


async def test_all_refused_requests_by_source_and_reason(ledger, clock):
    """However many another source has, nothing is left out of the numbers."""
    stale = [refuse(number, reason="stale") for number in (1, 2)]
    others = [refuse(number, "shop") for number in range(10, 40)]
    await keep(ledger, *stale, *others, *(whole(number, clock) for number in (50, 51, 52)), refuse(53))
    await ledger.readmitted("helpdesk-00052", ["0190-1"])
    newest = tuple(RejectionView(one) for one in reversed(others))
    wrong, shop, old = await ledger.refusals(None, 2)
    assert (wrong.source, wrong.reason, wrong.count, wrong.kept) == ("helpdesk", "signature_wrong", 4, 2)
    assert [(view.rejection.id, view.kept_until) for view in wrong.newest] == [
        ("helpdesk-00053", None),
        ("helpdesk-00052", None),
    ]
    assert shop == RefusalGroup("shop", "signature_wrong", 30, 0, newest[:2])
    assert old == RefusalGroup("helpdesk", "stale", 2, 0, tuple(RejectionView(one) for one in reversed(stale)))
    [of_shop] = [group for group in await ledger.refusals("shop", 50) if group.newest]
    assert of_shop == RefusalGroup("shop", "signature_wrong", 30, 0, newest)
    clock.now += MINUTE
    assert [group.kept for group in await ledger.refusals(None, 1)] == [0, 0, 0]


async def test_only_the_newest_thousand_refused_requests_of_a_source_are_kept(ledger):
    await asyncio.gather(
        *(ledger.reject(refuse(number)) for number in range(MOST + 10)), ledger.reject(refuse(1, "shop"))
    )
    rows = select(rejections.c.source, func.count(), func.min(rejections.c.at)).group_by(rejections.c.source)
    found = await ledger.read(lambda conn, _: {row[0]: tuple(row[1:]) for row in conn.execute(rows)})
    assert found == {"helpdesk": (MOST, 10), "shop": (1, 1)}


async def test_a_request_is_kept_whole_and_listed_without_what_it_holds(ledger, clock):
    [plain, full] = await keep(ledger, refuse(1), whole(2, clock))
    assert await ledger.refused("helpdesk", 10, None) == [full]
    assert await ledger.rejected("helpdesk", 10) == [
        RejectionView(replace(full, kept=None), kept_until=clock.now + MINUTE),
        RejectionView(plain),
    ]


ODD = {
    "bytes that are no text": ({"x-name": "caf\udce9"}, b"\xff\x00\x80"),
    "a lone surrogate and NUL in a header": ({"x-name": "\ud800\0"}, b""),
}


@pytest.mark.parametrize("name", ODD)
async def test_what_was_signed_comes_back_as_it_was(ledger, clock, name):
    headers, body = ODD[name]
    [full] = await keep(ledger, whole(1, clock, body, headers=headers))
    assert await ledger.refused("helpdesk", 10, None) == [full]


async def test_whole_requests_come_oldest_first_in_pages_of_one_source(ledger, clock):
    kept_ones = [whole(number, clock) for number in (5, 3, 1, 4, 2)]
    await keep(ledger, *kept_ones, whole(9, clock, source="shop"), refuse(6))
    first = await ledger.refused("helpdesk", 2, None)
    second = await ledger.refused("helpdesk", 2, first[-1].id)
    last = await ledger.refused("helpdesk", 2, second[-1].id)
    assert [one.at for one in (*first, *second, *last)] == [1, 2, 3, 4, 5]
    assert await ledger.refused("helpdesk", 2, last[-1].id) == []
    assert await ledger.refused("nobody", 2, None) == []


async def test_of_whole_requests_the_oldest_go_beyond_a_thousand(ledger, clock):
    await asyncio.gather(*(ledger.reject(whole(number, clock, b"{}")) for number in range(MOST + 3)))
    await keep(ledger, whole(1, clock, source="shop"))
    assert await kept_ids(ledger) == [f"helpdesk-{number:05}" for number in range(3, MOST + 3)]
    assert await kept_ids(ledger, "shop") == ["shop-00001"]


async def test_of_whole_requests_the_oldest_go_beyond_their_space(ledger, clock):
    quarter = bytes(SPACE // 4)
    await keep(ledger, *(whole(number, clock, quarter) for number in range(4)), whole(1, clock, source="shop"))
    assert len(await kept_ids(ledger)) == 4, "to the byte"
    await keep(ledger, whole(4, clock, b"x"))
    assert await kept_ids(ledger) == [f"helpdesk-{number:05}" for number in range(1, 5)]
    assert len(await ledger.rejected("helpdesk", 10)) == 5, "what they were is still known"
    assert await kept_ids(ledger, "shop") == ["shop-00001"]


async def test_a_flood_drives_out_only_its_own_whole_requests(ledger, clock):
    vendor = [replace(whole(number, clock), remote="203.0.113.9") for number in range(20)]
    await keep(ledger, *vendor)
    flood = [replace(whole(number, clock, b"{}"), remote=f"2001:db8::{number:x}") for number in range(20, MOST + 60)]
    await asyncio.gather(*map(ledger.reject, flood))
    left = await kept_ids(ledger)
    assert len(left) == MOST
    assert left[:20] == [one.id for one in vendor]
    assert left[20:] == [one.id for one in flood[60:]], "its newest"


async def test_a_flood_of_large_bodies_drives_out_only_its_own(ledger, clock):
    vendor = replace(whole(0, clock, bytes(SPACE // 4)), remote="203.0.113.9")
    flood = [replace(whole(number, clock, bytes(SPACE // 4)), remote="198.51.100.7") for number in range(1, 6)]
    await keep(ledger, vendor, *flood)
    assert await kept_ids(ledger) == [vendor.id, *[one.id for one in flood[-3:]]]


async def test_a_flood_drives_out_only_its_own_metadata(ledger):
    vendor = [refuse(number, remote="203.0.113.9") for number in range(20)]
    await keep(ledger, *vendor)
    flood = [refuse(number, remote="198.51.100.7") for number in range(20, MOST + 60)]
    await asyncio.gather(*map(ledger.reject, flood))
    left = [view.rejection for view in await ledger.rejected("helpdesk", 2 * MOST)]
    assert len(left) == MOST
    assert left[-20:] == vendor[::-1]


async def test_a_body_that_never_fits_drives_out_no_other(ledger, clock):
    await keep(ledger, whole(1, clock), whole(2, clock, bytes(SPACE + 1)))
    assert await kept_ids(ledger) == ["helpdesk-00001"]
    assert [view.kept_until for view in await ledger.rejected("helpdesk", 10)] == [None, clock.now + MINUTE]


async def test_strangers_without_a_body_drive_out_none_that_is_kept(ledger, clock):
    [full] = await keep(ledger, whole(0, clock))
    await asyncio.gather(*(ledger.reject(refuse(number)) for number in range(1, MOST + 5)))
    assert await ledger.refused("helpdesk", 10, None) == [full]
    assert len(await ledger.rejected("helpdesk", 2 * MOST)) == MOST + 1
    clock.now += MINUTE
    await ledger.prune()
    await keep(ledger, refuse(MOST + 5))
    assert len(await ledger.rejected("helpdesk", 2 * MOST)) == MOST, "it goes like the others once its body has gone"


async def test_what_has_expired_is_not_given_even_before_it_is_pruned(ledger, clock):
    await keep(ledger, whole(1, clock), whole(2, clock, lasts=MINUTE + 1))
    clock.now += MINUTE
    assert await kept_ids(ledger) == ["helpdesk-00002"]
    assert [view.kept_until for view in await ledger.rejected("helpdesk", 10)] == [clock.now + 1, None]


async def test_what_has_expired_is_pruned_a_few_bodies_at_a_turn(ledger, clock):
    await asyncio.gather(*(ledger.reject(whole(number, clock)) for number in range(AT_ONCE + 3)))
    await keep(ledger, whole(99, clock, lasts=MINUTE + 1))
    assert await ledger.prune() == 0
    clock.now += MINUTE
    assert [await ledger.prune() for _ in range(3)] == [AT_ONCE, 3, 0]
    left = await ledger.read(lambda conn, _: list(conn.execute(select(kept.c.id)).scalars()))
    assert left == ["helpdesk-00099"]


async def test_what_was_readmitted_is_marked_and_its_body_dropped(ledger, clock):
    first, second = await keep(ledger, whole(1, clock), whole(2, clock))
    await ledger.readmitted(first.id, ["event-1", "event-2"])
    assert await ledger.refused("helpdesk", 10, None) == [second]
    [_, view] = await ledger.rejected("helpdesk", 10)
    assert view == RejectionView(replace(first, kept=None), None, ("event-1", "event-2"))
    size = await ledger.read(lambda conn, _: conn.execute(select(func.count()).select_from(kept)).scalar_one())
    assert size == 1


async def test_readmitted_as_no_event_is_still_readmitted(ledger, clock):
    [one] = await keep(ledger, whole(1, clock))
    await ledger.readmitted(one.id, [])
    assert [view.readmitted for view in await ledger.rejected("helpdesk", 10)] == [()]


async def test_the_first_mark_stays_and_what_is_gone_is_left_alone(ledger, other, clock):
    [one] = await keep(ledger, whole(1, clock))
    await asyncio.gather(ledger.readmitted(one.id, ["a"]), ledger.readmitted("gone", ["b"]))
    await other.readmitted(one.id, ["c"])
    assert [view.readmitted for view in await ledger.rejected(None, 10)] == [("a",)]


async def test_both_parts_or_neither(ledger, clock):
    """The whole request cannot be held (a time that no column holds), so nothing of the refusal is kept."""
    bad = whole(1, clock, lasts=2**70)
    answers = await asyncio.gather(
        *(ledger.reject(one) for one in (whole(0, clock), bad, whole(2, clock))), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), Refused, type(None)]
    assert [view.rejection.id for view in await ledger.rejected(None, 10)] == ["helpdesk-00002", "helpdesk-00000"]
    assert await kept_ids(ledger) == ["helpdesk-00000", "helpdesk-00002"]


async def test_the_same_refusal_again_after_a_lost_answer_is_kept_once(ledger, clock):
    one = whole(1, clock)
    await keep(ledger, one, one)
    assert await ledger.refused("helpdesk", 10, None) == [one]


async def test_replicas_that_refuse_at_once_keep_within_the_bounds(replicas, clock):
    flood = [whole(number, clock, b"{}") for number in range(MOST + 100)]
    await asyncio.gather(*(replicas[one.at % 2].reject(one) for one in flood))
    await replicas[0].reject(whole(MOST + 100, clock, b"{}"))
    assert await kept_ids(replicas[1]) == [f"helpdesk-{number:05}" for number in range(101, MOST + 101)]


def test_nothing_that_is_kept_is_printed(clock):
    one = whole(1, clock)
    for printed in (repr(one), str(one.kept), f"{one.kept}", f"{RejectionView(one)}"):
        assert "hush" not in printed
    assert f"expires_at={clock.now + MINUTE}" in repr(one.kept)


async def test_nothing_that_is_kept_is_logged_or_told_by_an_error(loud, ledger, clock):
    await keep(ledger, whole(1, clock))
    await ledger.refused("helpdesk", 10, None)
    await ledger.readmitted("helpdesk-00001", ["event-1"])
    with pytest.raises(Refused) as refused:
        await ledger.reject(whole(2, clock, lasts=2**70))
    assert refused.value.__cause__ is None
    assert "FROM kept" in loud.text
    assert "hush" not in loud.text + str(refused.value)
