"""The health listener of a running relay, with results that nobody takes: it says nothing of an event."""

from relay.model import new_id
from relay.sandbox import make_app
from relay.sandbox import run as simulate
from tests.app.reloading import CHAT, configure, living


async def test_what_events_say_is_in_the_log_and_at_the_ops_listener_only(tmp_path, amqp_url):
    own = {"exchange": f"own-{new_id()}", "routing_key": "deal.{{ data.mail }}"}
    rules = [
        {"name": "deal", "chat": CHAT, "result": own},
        {"name": "leak", "chat": CHAT | {"name": "{{ data.id[data.mail] }}"}, "result": own},
    ]
    results = {"exchange": f"results-{new_id()}", "queue": None}
    async with await simulate(make_app()) as cargo:
        settings = configure(tmp_path, f"{cargo.url}/v1", broker={"url": amqp_url}, rules=rules, results=results)
        async with living(tmp_path / "live.yaml", settings) as live:
            assert (await live.post(id={}, mail="zoe@hidden.org"))[0] == 202
            await live.until_logged("problem.opened", 2)
            shown = await live.health("/readyz?verbose")
            assert "hidden" not in shown
            assert ": no queue takes some of the results" in shown
            assert "problem: failures leak render: open" in shown
            _, document = await live.ask("GET", "/api/problems?kind=failures")
            assert "zoe@hidden.org" in document["problems"][0]["detail"]
            assert "deal.zoe@hidden.org" in (await live.until_logged("result.unroutable"))["error"]
