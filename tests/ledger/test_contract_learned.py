"""What every ledger promises of secrets that handshakes bring: the first wins, until a person forgets it."""

import asyncio

import pytest

from relay.errors import Refused
from relay.secret import Secret

HUSH, OTHER = Secret("hush-one"), Secret("hush-two")


async def test_the_first_secret_of_a_source_is_kept(ledger, other):
    assert await ledger.learned() == {}
    assert await ledger.learn("notion", HUSH)
    assert not await other.learn("notion", OTHER)
    assert await other.learn("asana", OTHER), "each source has its own"
    assert await other.learned() == {"notion": HUSH, "asana": OTHER}


async def test_the_same_secret_again_is_the_kept_one(ledger, other):
    assert [await each.learn("notion", HUSH) for each in (ledger, other, ledger)] == [True, True, True]
    assert await ledger.learned() == {"notion": HUSH}


async def test_a_forgotten_one_makes_place_for_the_next(ledger, other):
    await ledger.learn("notion", HUSH)
    assert await other.forget("notion")
    assert not await ledger.forget("notion")
    assert await ledger.learned() == {}
    assert await other.learn("notion", OTHER)
    assert await ledger.learned() == {"notion": OTHER}


async def race(*ledgers):
    """Each handshake brings a secret of its own, to one ledger or another; those that were told to be kept."""
    brought = [Secret(f"hush-{number}") for number in range(40)]
    told = await asyncio.gather(
        *(ledgers[number % len(ledgers)].learn("notion", secret) for number, secret in enumerate(brought))
    )
    return [secret for secret, kept in zip(brought, told, strict=True) if kept]


async def test_of_many_at_once_one_wins(ledger, other):
    [winner] = await race(ledger, other)
    assert await ledger.learned() == {"notion": winner}


async def test_of_many_at_once_on_two_replicas_one_wins(replicas):
    for _ in range(5):
        [winner] = await race(*replicas)
        assert await replicas[1].learned() == {"notion": winner}
        assert await replicas[0].forget("notion")


async def test_a_race_with_forgetting_never_tells_of_a_secret_that_was_not_kept(replicas):
    """Whoever is told True had its secret kept at that moment; the last one kept is one of those."""
    one, two = replicas
    for number in range(20):
        secrets = [Secret(f"hush-{number}-{which}") for which in "ab"]
        told = await asyncio.gather(
            one.learn("notion", secrets[0]), two.forget("notion"), two.learn("notion", secrets[1])
        )
        left = (await one.learned()).get("notion")
        assert left in {secret for secret, kept in zip(secrets, told[::2], strict=True) if kept} | {None}
        await one.forget("notion")


@pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
async def test_a_secret_is_nowhere_printed(loud, ledger):
    await ledger.learn("notion", HUSH)
    await ledger.learn("notion", OTHER)
    assert "hush" not in repr(await ledger.learned())
    with pytest.raises(Refused) as refused:
        await ledger.learn("odd", Secret("hush\ud800"))
    assert refused.value.__cause__ is None
    assert "INSERT INTO learned" in loud.text
    assert "hush" not in loud.text + str(refused.value)
