"""A person walks every page and every button, in a real browser, before a real relay."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from playwright.async_api import expect

from relay.model import Gauges
from relay.sandbox import Faults
from relay.secret import Secret
from tests.console.browser import browsing
from tests.e2e.harness import Relay, Vendor, eventually
from tests.e2e.simulator import simulating
from tests.ops.desk import NOW

RULES = """
  - name: broken
    type: "broken.*"
    chat:
      trigger: {type: connector, connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f, meta: {id: "{{ data.missing }}"}}
  - name: won
    type: deal.won
    when: data.data is defined
    chat: {name: Won, trigger: {type: draft}, agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a}
  - name: later
    type: "later.*"
    delay: 1h
    chat: {name: Later, trigger: {type: draft}, agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a}
"""
TOKENS = "  tokens: {kim: {token: kim-may-operate, role: operate}, ray: {token: ray-may-read, role: read}}\n"
EVENTS = 55
FLOOD = 120
PAGES = (
    *("/", "/problems", "/events", "/refused", "/sources", "/sources/crm", "/rules", "/rules/broken", "/results"),
    *("/usage", "/acts"),
)


@asynccontextmanager
async def serving(folder, ledger):
    """A relay with chats that were made, one that cannot be, one that is held, and a request that was refused."""
    async with simulating() as simulator, aiohttp.ClientSession() as session:
        relay = Relay(folder, cargo=simulator.url, ledger=ledger, rules=RULES)
        relay.config.write_text(relay.config.read_text().replace("retry:", TOKENS + "retry:"))
        try:
            await asyncio.to_thread(relay.start)
            vendor = Vendor(session, relay.url("hooks"))
            async with session.post(relay.url("hooks") + "/hooks/crm", json={"type": "deal.won"}) as answer:
                assert answer.status == 401
            await asyncio.gather(*(vendor.insist(number) for number in range(EVENTS)))
            await vendor.insist(EVENTS, "broken.deal")
            await vendor.insist(EVENTS + 1, "later.deal")

            async def has_problem():
                headers = {"Authorization": "Bearer ray-may-read"}
                async with session.get(relay.url("ops") + "/api/problems?kind=failures", headers=headers) as answer:
                    return bool((await answer.json())["problems"])

            await eventually(has_problem, seconds=60, what=relay.describe)
            yield relay.url("ops"), vendor, simulator
        finally:
            await asyncio.to_thread(relay.stop)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_person_finds_what_happened_and_acts_on_it(kind, tmp_path, request):
    ledger = request.getfixturevalue("postgres_url") if kind == "postgresql" else None
    async with serving(tmp_path, ledger) as (at, vendor, simulator), browsing("127.0.0.1") as watched:
        page = await watched.open(base_url=at, viewport={"width": 1280, "height": 900})
        await mistype_the_token(watched, page)
        await sign_in(page, "kim-may-operate")
        await look_at_all(watched, page, *(("dark", 360) if ledger else ("light", 1280)))
        await find_the_failed(watched, page)
        await retry_what_was_refused(page, simulator, vendor)
        await cancel_what_is_held(watched, page)
        await send_a_sample(watched, page)
        await try_and_pause_a_rule(watched, page)
        await use_the_keyboard(page)
        await follow_what_comes(page, vendor)
        await act_on_problems(watched, page)
        await readmit(page)
        await come_from_elsewhere(page, at)
        await lose_the_session(page)
        await read_only(watched, at)
        await without_script(watched, at)
        await sign_out(page)
        assert watched.faults == []
        assert any("vendor/htmx.js" in url for url in watched.asked)


async def test_what_one_reads_stays_while_the_page_follows_what_happens(tmp_path):
    async with serving(tmp_path, None) as (at, _, _), browsing("127.0.0.1") as watched:
        page = await watched.open(base_url=at)
        await sign_in(page, "kim-may-operate")
        await read_while_nothing_happens(page)
        await read_while_it_is_cancelled(page)
        await keep_the_place_in_the_overview(page)
        assert watched.faults == []


async def read_while_nothing_happens(page):
    """A page that is told that nothing changed keeps what is open, selected and in focus."""
    await page.goto("/events?status=held")
    await page.locator("[data-row] a").click()
    await page.get_by_text("What is sent to Cargo").click()
    await page.get_by_role("link", name="Cancel").focus()
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('#became details pre'))")
    for _ in range(2):
        async with page.expect_response(lambda answer: "/became?" in answer.url) as asked:
            pass
        assert (await asked.value).status == 204
    await expect(page.get_by_label("Body of POST /ai/chats")).to_be_visible()
    assert "Later" in await page.evaluate("getSelection().toString()")
    await expect(page.get_by_role("link", name="Cancel")).to_be_focused()


async def read_while_it_is_cancelled(page):
    """What changed is shown; what was open stays open, the focus stays where it was."""
    await page.get_by_text("What is sent to Cargo").focus()
    place = await page.get_by_role("link", name="Cancel").get_attribute("href")
    csrf = await page.locator("meta[name=csrf]").get_attribute("content")
    await page.request.post(place, form={"csrf": csrf})
    await expect(page.locator(".answer")).to_contain_text("There is no chat: it was cancelled.")
    await expect(page.get_by_label("Body of POST /ai/chats")).to_be_visible()
    await expect(page.get_by_text("What is sent to Cargo")).to_be_focused()


async def keep_the_place_in_the_overview(page):
    await page.goto("/")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    chosen = await page.locator(".chosen a").first.get_attribute("id")
    await page.locator("#live").evaluate("live => { live.dataset.before = 'yes' }")
    await expect(page.locator("#live[data-before]")).to_have_count(0)
    await expect(page.locator(f"[id='{chosen}']")).to_be_focused()
    await expect(page.locator(".chosen")).to_have_count(1)


async def test_whoever_signs_in_can_sign_out_on_a_narrow_screen(world, aiohttp_server, make_console):
    """Names of tokens are addresses of people, too, and the word beside them is longest in trouble."""
    world.memory.numbers = Gauges(paused={"unauthorized": NOW})
    world.tokens = {"maximiliane.musterfrau-winterbottom@example.com": (Secret("long-name"), "admin")}
    server = await aiohttp_server(make_console())
    async with browsing("127.0.0.1") as watched:
        page = await watched.open(base_url=str(server.make_url("")), viewport={"width": 360, "height": 740})
        await sign_in(page, "long-name")
        for path in ("/", "/refused"):
            await page.goto(path)
            await watched.look(page)
        await expect(page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
        assert watched.faults == []


async def mistype_the_token(watched, page):
    await page.goto("/")
    await expect(page).to_have_url("/signin")
    await watched.look(page)
    await page.get_by_label("Token").fill("no-token")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("This token is not known")


async def sign_in(page, token):
    await page.goto("/signin")
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url("/")


async def look_at_all(watched, page, scheme, width):
    await page.emulate_media(color_scheme=scheme)
    await page.set_viewport_size({"width": width, "height": 900})
    for path in PAGES:
        await page.goto(path)
        await watched.look(page)
    await page.set_viewport_size({"width": 1280, "height": 900})


async def find_the_failed(watched, page):
    """By the problem to the list, by its filters to the event, and back."""
    await page.goto("/")
    await page.get_by_role("link", name="See the failed events").click()
    await expect(page).to_have_url("/events?rule=broken&status=failed")
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await page.locator("[data-row] a").click()
    await expect(page.locator(".answer")).to_contain_text("There is no chat")
    await expect(page.get_by_text("data.missing").first).to_be_visible()
    await watched.look(page)
    await page.get_by_role("link", name="Retry").click()
    await watched.look(page)
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("heading")).to_have_text("Not possible in this state")
    await expect(page.get_by_text("correct the rule, then retry it")).to_be_visible()
    await watched.look(page)
    await page.go_back()
    await page.get_by_role("link", name="Go back").click()
    await page.get_by_role("link", name="Replay with the rules of now").click()
    await page.get_by_label("Also make chats again").check()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("status")).to_contain_text("Replayed")
    await expect(page.get_by_text("by kim").first).to_be_visible()
    await page.goto("/events?source=crm")
    await page.get_by_role("link", name="Older").click()
    await expect(page.locator("[data-row]")).not_to_have_count(50)
    await page.go_back()
    await expect(page).to_have_url("/events?source=crm")
    await expect(page.locator("[data-row]")).to_have_count(50)
    await page.go_forward()
    await expect(page.get_by_role("link", name="Newest")).to_be_visible()


async def retry_what_was_refused(page, simulator, vendor):
    """The page of an event follows what becomes of it: refused by Cargo, then made once Cargo is well."""
    await simulator.set_faults(Faults(script=("forbidden",)))
    await vendor.insist(EVENTS + 2)
    await page.goto("/events?rule=deal")
    await page.locator("[data-row] a").first.click()
    await expect(page.locator(".answer")).to_contain_text("There is no chat")
    await page.get_by_role("link", name="Retry").click()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("status")).to_have_text("Rule deal is at run 2.")
    await expect(page.locator(".answer")).to_contain_text("A chat was made")
    await expect(page.get_by_role("link", name="Retry")).to_have_count(0)


async def cancel_what_is_held(watched, page):
    await page.goto("/events?status=held")
    await page.locator("[data-row] a").click()
    await expect(page.locator(".answer")).to_contain_text("It is held by delay")
    await page.get_by_role("link", name="Cancel").click()
    await watched.look(page)
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.get_by_role("status")).to_have_text("The dispatch of rule later is cancelled.")
    await expect(page.locator(".answer")).to_contain_text("There is no chat: it was cancelled.")


async def send_a_sample(watched, page):
    await page.goto("/sources/crm")
    await page.get_by_role("link", name="Send a sample").click()
    await expect(page.get_by_text("Rule deal matches, but makes no chat")).to_be_visible()
    await expect(page.get_by_text("Rule won makes a chat at Cargo.")).to_be_visible()
    await watched.look(page)
    await page.get_by_role("button", name="Send a sample").click()
    await expect(page.get_by_role("status")).to_contain_text("The sample was taken in")
    await expect(page.locator(".answer")).to_contain_text("1 of 2 chats are made")


async def try_and_pause_a_rule(watched, page):
    """A rule is changed in the playground, where nothing is saved, then paused and resumed."""
    await page.goto("/rules")
    await page.get_by_role("link", name="broken", exact=True).click()
    broken = page.locator("select[name=event] option", has_text="broken.deal").first
    await page.get_by_label("A stored event").select_option(await broken.get_attribute("value"))
    await page.get_by_role("button", name="Try").click()
    await expect(page.locator("#outcome")).to_contain_text("data.missing")
    rule = page.locator("textarea[name=rule]")
    text = await rule.input_value()
    await rule.fill(text.replace("data.missing", "event.id"))
    await page.get_by_role("button", name="Try").click()
    await expect(page.locator("#outcome")).to_contain_text("The body for Cargo")
    await watched.look(page)
    await rule.fill(text + "colour: red\n")
    await page.get_by_role("button", name="Try").click()
    await expect(page.locator("#outcome")).to_contain_text("The rule has faults")
    await page.get_by_role("link", name="Pause", exact=True).click()
    await watched.look(page)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("status")).to_have_text("The rule broken is paused.")
    await watched.look(page)
    await page.get_by_role("link", name="Resume").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("status")).to_have_text("The rule broken goes on.")


async def use_the_keyboard(page):
    await page.goto("/events")
    for key in ("j", "j", "j", "k"):
        await page.keyboard.press(key)
    chosen = page.locator("[data-row].chosen")
    await expect(chosen).to_have_count(1)
    assert await page.locator("[data-row]").nth(1).evaluate("row => row.classList.contains('chosen')")
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).not_to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("won")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url("/events?text=won&since=24h")
    await expect(page.locator("[data-row]")).to_have_count(50)


async def follow_what_comes(page, vendor):
    """What is read does not move; whoever wants what is new asks for it."""
    await page.goto("/events?status=done")
    first = await page.locator("[data-row] a").first.get_attribute("href")
    await expect(page.get_by_text("Live: nothing new")).to_be_visible()
    await vendor.insist(1_000)
    await expect(page.get_by_role("link", name="Show 1 new")).to_be_visible()
    assert await page.locator("[data-row] a").first.get_attribute("href") == first
    await page.get_by_role("button", name="Pause").click()
    await vendor.insist(1_001)
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("link", name="Show 2 new").click()
    await expect(page.locator("[data-row] a").nth(2)).to_have_attribute("href", first)
    elements = await page.evaluate("document.querySelectorAll('*').length")
    await asyncio.gather(*(vendor.insist(1_002 + number) for number in range(FLOOD)))
    await expect(page.get_by_role("link", name="Show 100+ new")).to_be_visible()
    assert await page.evaluate("document.querySelectorAll('*').length") == elements, "a flood adds nothing to the page"


async def act_on_problems(watched, page):
    await page.goto("/problems?kind=failures&rule=broken")
    await watched.look(page)
    for act in ("Acknowledge", "Resolve"):
        await page.get_by_role("link", name=act).first.click()
        await page.get_by_role("button", name=act).click()
        await expect(page.get_by_role("status")).to_contain_text(f"The problem is {act.lower().rstrip('e')}ed")
        await page.goto("/problems?kind=failures&rule=broken")
    await expect(page.locator(".problems .pill")).to_have_text("resolved")


async def readmit(page):
    await page.goto("/refused")
    await expect(page.get_by_text("1 request,")).to_be_visible()
    button = page.get_by_role("link", name="Readmit")
    if await button.count():  # a request is kept where its source keeps some
        await button.click()
        await page.get_by_role("button", name="Readmit").click()
        await expect(page.get_by_role("status")).to_contain_text("0 readmitted, 1 refused again")


async def come_from_elsewhere(page, at):
    """A colleague's link in a chat: the browser sends no cookie with it, and yet the page is there."""
    await page.goto("about:blank")
    await page.set_content(f'<a href="{at}/events?source=crm">look</a>')
    await page.get_by_text("look").click()
    await expect(page).to_have_url("/events?source=crm")
    await expect(page.locator("[data-row]")).to_have_count(50)


async def lose_the_session(page):
    await page.goto("/problems")
    await page.context.clear_cookies()
    await page.get_by_role("link", name="Events", exact=True).click()
    await expect(page).to_have_url("/signin?next=%2Fevents")
    await page.get_by_label("Token").fill("kim-may-operate")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url("/events")


async def read_only(watched, at):
    page = await watched.open(base_url=at)
    await sign_in(page, "ray-may-read")
    for path in ("/problems", "/refused", "/sources/crm", "/rules/broken"):
        await page.goto(path)
        for act in ("Acknowledge", "Resolve", "Readmit", "Send a sample", "Pause"):
            await expect(page.get_by_role("link", name=act)).to_have_count(0)
    await page.goto("/events?status=done")
    await page.locator("[data-row] a").first.click()
    await expect(page.get_by_role("link", name="Replay")).to_have_count(0)
    await page.context.close()


async def without_script(watched, at):
    page = await watched.open(base_url=at, java_script_enabled=False)
    await page.goto("/events")
    await page.get_by_label("Token").fill("kim-may-operate")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Status").select_option("done")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url("/events?status=done")
    await page.locator("[data-row] a").first.click()
    await page.get_by_role("link", name="Replay with the rules of now").click()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("status")).to_contain_text("no rule made a new chat")
    await page.goto("/sources/crm")
    await page.get_by_role("link", name="Send a sample").click()
    await page.get_by_role("button", name="Send a sample").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("deal.won")
    await page.context.close()


async def sign_out(page):
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("status")).to_contain_text("You are signed out")
    await page.goto("/events")
    await expect(page).to_have_url("/signin?next=%2Fevents")
