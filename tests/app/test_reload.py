"""A changed configuration: in force as a whole, or not at all; what is under way goes on as it was decided."""

import shutil

import pytest
import yaml

from relay.app import reload
from relay.errors import Unavailable
from relay.ledger import SqlLedger
from tests.app.reloading import CHAT, configure, living
from tests.e2e.simulator import simulating

HOOK = {"type": "webhook", "scheme": "none"}


@pytest.fixture
def file(tmp_path):
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "relay.yaml"


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def rule(name, chat_name, **keys):
    return {"name": name, "chat": {"name": chat_name, **CHAT}, **keys}


async def test_an_edit_is_in_force_as_a_whole(file, settings):
    async with living(file, settings) as live:
        assert (await live.post("shop", id=1))[0] == 404
        changed = settings | {
            "sources": settings["sources"] | {"shop": HOOK},
            "rules": [rule("order", "Order {{ data.id }} of {{ vars.team }}")],
            "vars": {"team": "Sales"},
        }
        file.write_text(yaml.safe_dump(changed))
        line = await live.until_logged("config.reloaded")
        assert line["changes"] == [
            "added vars.team",
            "added sources.shop",
            "added rules[order]",
            "removed rules[deal]",
        ]
        status, accepted = await live.post("shop", id=1)
        assert status == 202
        assert (await live.body_of(accepted["events"][0]["id"]))["name"] == "Order 1 of Sales"
        assert "relay_config_reload_success 1.0" in await live.health("/metrics")
        assert f'relay_config_info{{hash="{line["config"]}"}} 1.0' in await live.health("/metrics")


async def test_a_removed_webhook_is_unknown_and_others_go_on(file, settings):
    both = settings | {"sources": settings["sources"] | {"shop": HOOK}}
    async with living(file, both) as live:
        assert (await live.post("shop", id=1))[0] == 202
        live.write(settings)
        await live.until_logged("config.reloaded")
        assert (await live.post("shop", id=2))[0] == 404
        assert (await live.post(id=2))[0] == 202
        _, listed = await live.ask("GET", "/api/sources")
        assert [source["name"] for source in listed["sources"]] == ["crm"]


async def test_a_config_map_that_is_swapped_by_its_link_is_in_force(tmp_path, settings):
    """The kubelet writes a new folder, and renames a new `..data` over the old link."""
    mount = tmp_path / "mount"
    (mount / "..1").mkdir(parents=True)
    (mount / "..1" / "relay.yaml").write_text(yaml.safe_dump(settings))
    (mount / "..data").symlink_to("..1")
    (mount / "relay.yaml").symlink_to("..data/relay.yaml")
    async with living(mount / "relay.yaml", paths=[mount]) as live:
        changed = settings | {"rules": [rule("deal", "Another {{ data.id }}")]}
        (mount / "..2").mkdir()
        (mount / "..2" / "relay.yaml").write_text(yaml.safe_dump(changed))
        (mount / "..tmp").symlink_to("..2")
        (mount / "..tmp").replace(mount / "..data")
        shutil.rmtree(mount / "..1")
        assert (await live.until_logged("config.reloaded"))["changes"] == ["changed rules[deal]"]
        _, accepted = await live.post(id=1)
        assert (await live.body_of(accepted["events"][0]["id"]))["name"] == "Another 1"


async def test_a_secret_in_a_file_of_its_own_rotates_when_that_file_changes(file, tmp_path, settings):
    secret = tmp_path / "secret"
    secret.write_text("first-secret-of-crm")
    named = {"crm": settings["sources"]["crm"] | {"secret": f"${{file:{secret}}}"}}
    async with living(file, settings | {"sources": named}) as live:
        assert (await live.post(id=1))[0] == 202
        secret.write_text("second-secret-of-crm")
        assert (await live.until_logged("config.reloaded"))["changes"] == ["changed sources.crm"]
        assert (await live.post(id=2))[0] == 401
        assert (await live.post(secret="second-secret-of-crm", id=2))[0] == 202


async def test_half_a_file_is_not_in_force_and_its_other_half_makes_it_whole(file, settings):
    text = yaml.safe_dump(settings | {"rules": [rule("order", "Order {{ data.id }}")]}, sort_keys=False)
    async with living(file, settings) as live:
        half = text.index("agentUuid")
        with file.open("w") as stream:
            stream.write(text[:half])
            stream.flush()
            _, accepted = await live.post(id=1)
            assert (await live.body_of(accepted["events"][0]["id"]))["name"] == "Deal 1"
            stream.write(text[half:])
        await live.until_logged("config.reloaded")
        assert live.logged("config.fault") == []


async def test_of_twenty_faults_each_has_a_line_and_the_former_configuration_goes_on(file, settings):
    async with living(file, settings) as live:
        faulty = [rule(f"r{number}", "{{ data.id | nothing }}") for number in range(20)]
        live.write(settings | {"rules": faulty})
        await live.until_logged("config.fault", 20)
        faults = live.logged("config.fault")
        assert len(faults) == 20
        assert all(line["at"].startswith(f"{file}:") and "nothing" in line["message"] for line in faults)
        assert "relay_config_reload_success 0.0" in await live.health("/metrics")
        ready = await live.health("/readyz?verbose")
        assert "config: degraded" in ready
        assert "20 faults" in ready
        _, accepted = await live.post(id=1)
        assert (await live.body_of(accepted["events"][0]["id"]))["name"] == "Deal 1"

        status, document = await live.ask("POST", "/api/reload")
        assert (status, len(document["faults"])) == (422, 20)
        assert document["faults"][0]["file"] == str(file)

        live.write(settings)
        await live.until_logged("config.recovered")
        assert "relay_config_reload_success 1.0" in await live.health("/metrics")
        assert "config: up" in await live.health("/readyz?verbose")


async def test_a_folder_that_vanishes_is_a_fault_and_all_is_well_when_it_is_back(file, settings):
    async with living(file, settings, paths=[file.parent]) as live:
        away = file.parent.with_name("away")
        file.parent.rename(away)
        fault = await live.until_logged("config.fault")
        assert str(file.parent) in fault["at"]
        assert (await live.post(id=1))[0] == 202
        away.rename(file.parent)
        await live.until_logged("config.recovered")
        assert (await live.ask("POST", "/api/reload"))[1]["status"] == "unchanged"


async def test_a_second_file_of_the_folder_is_read_when_it_appears(file, settings):
    async with living(file, settings, paths=[file.parent]) as live:
        live.write({"rules": [rule("more", "More {{ data.id }}")]}, name="more.yaml")
        assert (await live.until_logged("config.reloaded"))["changes"] == ["added rules[more]"]


async def test_what_needs_a_restart_is_told_and_the_rest_is_in_force(file, settings, tmp_path):
    async with living(file, settings) as live:
        changed = settings | {
            "ledger": {"url": f"sqlite:///{tmp_path}/other.db", "retain": "7d"},
            "http": settings["http"] | {"ops": "127.0.0.1:9"},
            "rules": [rule("deal", "New {{ data.id }}")],
        }
        live.write(changed)
        line = await live.until_logged("config.reloaded")
        assert line["restart"] == ["ledger.url", "http.ops"]
        assert live.logged("config.held")[0]["keys"] == ["ledger.url", "http.ops"]
        assert "a restart is needed for ledger.url, http.ops" in await live.health("/readyz?verbose")
        _, accepted = await live.post(id=1)
        assert (await live.body_of(accepted["events"][0]["id"]))["name"] == "New 1"
        assert live.service.ledger.terms.retain == 7 * 86_400_000
        assert not (tmp_path / "other.db").exists()
        _, shown = await live.ask("GET", "/api/config")
        assert shown["restart"] == ["ledger.url", "http.ops"]
        assert shown["settings"]["ledger"]["url"] == settings["ledger"]["url"]


async def test_a_token_of_cargo_that_is_mended_sends_what_waited(file, tmp_path):
    async with simulating() as cargo:
        settings = configure(tmp_path, cargo.url)
        async with living(file, settings | {"cargo": settings["cargo"] | {"token": "wrong"}}) as live:
            await live.post(id=1)
            await live.until_logged("cargo.paused")
            live.write(settings)
            assert (await live.until_logged("config.reloaded"))["changes"] == ["changed cargo.token"]
            await live.until_logged("chat.created")
            assert len(await cargo.chats()) == 1


async def test_the_token_of_ops_rotates_with_every_secret_that_changed_beside_that_of_cargo(file, settings):
    http = settings["http"]
    async with living(file, settings | {"http": http | {"token": "first-token-of-ops"}}) as live:
        assert (await live.ask("GET", "/api/rules", "first-token-of-ops"))[0] == 200
        crm = {"crm": settings["sources"]["crm"] | {"secret": "second-secret-of-crm"}}
        changed = settings | {"http": http | {"token": "second-token-of-ops"}, "sources": crm}
        live.write(changed | {"cargo": settings["cargo"] | {"token": "another"}})
        line = await live.until_logged("config.reloaded")
        assert sorted(line["changes"]) == ["changed cargo.token", "changed http.token", "changed sources.crm"]
        assert (await live.ask("GET", "/api/rules", "first-token-of-ops"))[0] == 401
        assert (await live.ask("GET", "/api/rules", "second-token-of-ops"))[0] == 200


async def test_a_dispatch_goes_on_as_it_was_decided_and_keys_remember(file, settings):
    once = {"once": {"key": "{{ data.id }}"}}
    async with living(file, settings | {"rules": [rule("deal", "Old {{ data.id }}", **once)]}) as live:
        _, first = await live.post(id=1, time=1)
        live.write(settings | {"rules": [rule("deal", "New {{ data.id }}", **once)]})
        await live.until_logged("config.reloaded")
        first_id = first["events"][0]["id"]
        assert (await live.body_of(first_id))["name"] == "Old 1"
        _, again = await live.post(id=1, time=2)
        _, shown = await live.ask("GET", f"/api/events/{again['events'][0]['id']}")
        assert shown["dispatches"][0]["state"] == "suppressed"
        versions = [(await live.ask("GET", f"/api/events/{each}"))[1] for each in (first_id, again["events"][0]["id"])]
        old, new = (yaml.safe_load(each["dispatches"][0]["ruleVersion"]["text"]) for each in versions)
        assert (old["chat"]["name"], new["chat"]["name"]) == ("Old {{ data.id }}", "New {{ data.id }}")


async def test_a_reload_by_hand_says_what_came_into_force_a_moment_before(file, settings):
    """The relay follows its files by itself, and may be faster than a person's command."""
    async with living(file, settings) as live:
        live.write(settings | {"rules": [rule("new", "New")]})
        await live.until_logged("config.reloaded")
        _, told = await live.ask("POST", "/api/reload")
        assert told["status"] == "reloaded"
        assert sorted((change["change"], change["key"]) for change in told["changes"]) == [
            ("added", "rules[new]"),
            ("removed", "rules[deal]"),
        ]
        _, again = await live.ask("POST", "/api/reload")
        assert (again["status"], again["changes"]) == ("unchanged", [])


async def test_what_came_into_force_long_ago_is_no_news(file, settings, monkeypatch):
    monkeypatch.setattr(reload, "_RECENT", -1.0)
    async with living(file, settings) as live:
        live.write(settings | {"rules": [rule("new", "New")]})
        await live.until_logged("config.reloaded")
        assert (await live.ask("POST", "/api/reload"))[1]["status"] == "unchanged"


async def test_no_change_waits_for_the_ledger_while_it_is_away_for_the_hourly_note(file, settings, monkeypatch):
    """That the rules are still in force is noted each hour; the next note is made when the ledger is back."""
    keep, calls = SqlLedger.keep_versions, 0

    async def fail_at_the_second(ledger, versions):
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("the server restarts")
        await keep(ledger, versions)

    monkeypatch.setattr(reload, "_SEEN", 0.0)
    monkeypatch.setattr(SqlLedger, "keep_versions", fail_at_the_second)
    async with living(file, settings) as live:
        assert (await live.until_logged("ledger.unavailable"))["part"] == "config"
        assert "a change waits" not in await live.health("/readyz?verbose")
        await live.until(lambda: calls > 2, "it is not noted again")


async def test_a_reload_by_hand_says_what_changed_and_waits_for_nothing_else(file, settings):
    async with living(file, settings) as live:
        assert (await live.ask("POST", "/api/reload"))[1]["status"] == "unchanged"
        live.write(settings | {"rules": [rule("deal", "New {{ data.id }}")]})
        status, done = await live.ask("POST", "/api/reload")
        assert (status, done["status"], done["restart"]) == (200, "reloaded", [])
        assert done["changes"] == [{"key": "rules[deal]", "change": "changed"}]
        assert (await live.ask("GET", "/api/config"))[1]["hash"] == done["hash"]


async def test_a_window_that_is_open_over_a_reload_closes_by_the_rule_that_decided_its_events(file, settings):
    """Also where the new configuration has no such rule."""
    gathering = {"debounce": {"key": "{{ data.team }}", "wait": "2s", "keep": "all"}}
    old = rule("deal", "Old {{ events | map(attribute='data.id') | join(',') }}", **gathering)
    async with living(file, settings | {"rules": [old]}) as live:
        for number in (1, 2):
            _, answer = await live.post(id=number, team="sales")
        live.write(settings | {"rules": [rule("other", "New")]})
        await live.until_logged("config.reloaded")
        await live.until_logged("window.closed")
        assert (await live.body_of(answer["events"][0]["id"]))["name"] == "Old 1,2"
