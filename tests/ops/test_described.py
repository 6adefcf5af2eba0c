"""The API of a relay that serves, held to its own description: whatever is asked is answered as that says.

Schemathesis asks what the description allows, and what it does not allow, and checks status, headers and body.
"""

import asyncio
import json
from urllib.request import urlopen

import aiohttp
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from relay.ops.openapi import describe
from relay.sandbox import Faults
from relay.sandbox import make_app as make_sandbox
from tests.cli.conftest import serving
from tests.e2e.harness import TOKEN, Relay, Vendor

API = schemathesis.openapi.from_dict(describe("0"))
RULES = """
  - {name: failing, type: "deal.*", chat: {name: "{{ data.not_there }}", trigger: {type: draft}}}
  - {name: parking, type: "deal.*", chat: {trigger: {type: draft}}}
"""
RULE = "{name: tried, source: crm, chat: {trigger: {type: draft}}}"


@pytest.fixture(scope="module")
def ops(tmp_path_factory):
    """The ops listener's URL of a relay whose dispatches fail, are parked, or come to a chat by a look for it."""
    with serving(lambda: make_sandbox(Faults(lost=1), token=TOKEN, pending=0.0, generating=0.0)) as cargo:
        relay = Relay(tmp_path_factory.mktemp("relay"), cargo=f"{cargo}/v1", rules=RULES)
        try:
            relay.start()
            asyncio.run(fill(relay.url("hooks")))
            yield relay.url("ops")
        finally:
            relay.stop()


async def fill(hooks):
    async with aiohttp.ClientSession() as session:
        vendor = Vendor(session, hooks)
        for number in range(4):
            await vendor.insist(number, "deal.won" if number % 2 else "note")


def read(url):
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def known(ops):
    """What may stand in a path or a body, by its name there."""
    listed = read(f"{ops}/api/events")["events"]
    dispatches = [each["id"] for event in listed for each in event["dispatches"]]
    return {"id": [*dispatches, *(event["id"] for event in listed)], "name": ["crm", "failing"], "source": ["crm"]}


def test_it_serves_the_description_that_it_is_held_to(ops):
    served = read(f"{ops}/openapi.json")
    assert served == describe(served["info"]["version"])


@API.given(pick=st.none() | st.integers(0, 20))
@API.parametrize()
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_asked_is_answered_as_described(case, pick, ops, known):
    if case.meta.generation.mode.is_positive:
        steer(case, pick, known)
    case.call_and_validate(base_url=ops, timeout=10)


def steer(case, pick, known):
    """To what there is, which chance alone would not find; and to the end of a stream that has none."""
    if pick is not None:
        for place in (case.path_parameters, case.body if case.operation.label == "POST /api/try" else {}):
            place |= {name: known[name][pick % len(known[name])] for name in place if name in known}
    if case.operation.label == "POST /api/try" and case.body.get("rule") is not None:
        case.body["rule"] = RULE  # the description cannot say what a rule is
    if case.operation.label == "GET /api/results":
        case.query = {**(case.query or {}), "follow": "0"}
