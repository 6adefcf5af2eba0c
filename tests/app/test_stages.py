"""The order of a stop, and what becomes of parts that fail, hang, or are cancelled by somebody else."""

import asyncio

from structlog.testing import capture_logs

from relay.app.stages import Stage, run_stages
from relay.telemetry import PartState, Status
from tests.virtual import milliseconds, virtually


class Part:
    """Notes when it ends. It needs `takes` seconds to stop."""

    def __init__(self, name, ended, takes=0.0):
        self.name = name
        self.ended = ended
        self.takes = takes

    async def run(self, stop):
        await stop.wait()
        await asyncio.sleep(self.takes)
        self.ended.append((self.name, milliseconds()))


async def stop_after(stages, grace, seconds=1.0):
    status = Status(milliseconds, asyncio.get_running_loop().time)
    ending = asyncio.Event()
    running = asyncio.create_task(run_stages(stages, ending, grace, status))
    await asyncio.sleep(seconds)
    ending.set()
    await running
    return status


@virtually
async def test_a_stage_stops_when_the_one_before_has():
    ended = []
    names = (("consumer", 2.0), ("worker", 3.0), ("publisher", 1.0))
    stages = [Stage({name: Part(name, ended, takes).run}) for name, takes in names]
    await stop_after(stages, 20)
    assert ended == [("consumer", 3_000), ("worker", 6_000), ("publisher", 7_000)]


@virtually
async def test_a_part_that_does_not_stop_is_cut_and_the_later_ones_have_their_time():
    ended = []
    stages = [
        Stage({"stuck": Part("stuck", ended, 3_600).run}, share=0.5),
        Stage({"publisher": Part("publisher", ended, 4.0).run}),
    ]
    with capture_logs() as lines:
        await stop_after(stages, 20)
    assert [name for name, _ in ended] == ["publisher"]
    assert milliseconds() <= 1_000 + 20_000
    assert [line["part"] for line in lines if line["event"] == "part.cut"] == ["stuck"]


@virtually
async def test_a_part_that_fails_is_started_again_also_when_a_library_cancels_it():
    faults = [KeyError("a bug"), asyncio.CancelledError()]
    seen = []

    async def run(stop):
        seen.append(milliseconds())
        if faults:
            raise faults.pop(0)
        await stop.wait()

    with capture_logs() as lines:
        status = await stop_after([Stage({"part": run})], 5, seconds=60)
    assert len(seen) == 3
    assert len([line for line in lines if line["event"] == "part.failed"]) == 2
    assert not status.parts()


@virtually
async def test_a_part_that_fails_while_it_stops_is_not_started_again():
    seen = []

    async def run(stop):
        seen.append(milliseconds())
        await stop.wait()
        raise KeyError("a bug")

    with capture_logs() as lines:
        status = await stop_after([Stage({"part": run})], 5)
    assert len(seen) == 1
    assert [line["retry_in_s"] for line in lines if line["event"] == "part.failed"] == [None]
    assert [part.state for part in status.parts()] == [PartState.DOWN]


@virtually
async def test_what_an_error_says_of_an_event_is_not_for_everybody():
    status = Status(milliseconds, asyncio.get_running_loop().time)

    async def run(stop):
        raise KeyError("zoe@hidden.org")

    ending = asyncio.Event()
    running = asyncio.create_task(run_stages([Stage({"worker": run})], ending, 1, status))
    await asyncio.sleep(0.1)
    [part] = status.parts()
    assert (part.reason, part.public) == ("KeyError: 'zoe@hidden.org'", "KeyError; the log says more")
    ending.set()
    await running
