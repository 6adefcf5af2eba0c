"""A log line tells of a step; it never undoes it."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from contextlib import suppress

import pytest
import structlog

from relay.secret import Secret
from relay.telemetry import configure, get_log
from relay.telemetry.sparse import Sparse


@pytest.fixture(autouse=True)
def unconfigured():
    """The configuration of the run comes back afterwards."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class Full(io.StringIO):
    """A disk without room, until it has some."""

    full = True

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_line_that_cannot_be_written_fails_nothing_and_the_next_one_is_written():
    out = Full()
    configure("info", "json", out)
    log = get_log()
    log.info("event.accepted", event_id="1")
    out.full = False
    log.info("event.accepted", event_id="2")
    assert [json.loads(line)["event_id"] for line in out.getvalue().splitlines()] == ["2"]


def test_a_stream_that_was_closed_fails_nothing():
    out = io.StringIO()
    configure("info", "json", out)
    log = get_log()
    log.info("event.accepted")
    out.close()
    log.info("event.accepted")


def test_lines_follow_stderr_when_it_is_replaced(monkeypatch):
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    configure("info", "json")
    log = get_log()
    log.info("one")
    monkeypatch.setattr("sys.stderr", second)
    log.info("two")
    assert ("one" in first.getvalue(), "two" in second.getvalue()) == (True, True)


def test_levels_below_the_one_that_is_set_are_left_out():
    out = io.StringIO()
    configure("warning", "json", out)
    log = get_log()
    log.info("event.accepted")
    log.warning("request.rejected")
    assert [json.loads(line)["event"] for line in out.getvalue().splitlines()] == ["request.rejected"]


def test_no_value_fails_a_line():
    out = io.StringIO()
    configure("info", "json", out)
    log = get_log()
    log.info("odd", half="\ud800", raw=b"\xff", number=float("nan"), secret=Secret("hush"), kind=int, many={1: {2}})
    [line] = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (line["half"], line["kind"]) == ("\ud800", "<class 'int'>")
    assert "hush" not in out.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_line_is_json_whatever_its_stream_can_carry(encoding):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding, errors="backslashreplace")
    configure("info", "json", out)
    get_log().info("event.accepted", type="zółw 😀", half="\ud800")
    out.flush()
    line = json.loads(raw.getvalue().decode(encoding))
    assert (line["type"], line["half"]) == ("zółw 😀", "\ud800")
    assert line["event"] == "event.accepted"


def told(out):
    return [json.loads(line)["event"] for line in out.getvalue().splitlines()]


async def test_good_news_waits_a_moment_and_bad_news_takes_it_along():
    out = io.StringIO()
    configure("info", "json", out)
    log = get_log()
    log.info("one")
    log.info("two")
    assert told(out) == []
    async with asyncio.timeout(10):
        while not told(out):
            await asyncio.sleep(0.001)
    assert told(out) == ["one", "two"]
    log.info("three")
    log.warning("four")
    assert told(out) == ["one", "two", "three", "four"]


def test_what_waits_when_its_loop_ends_comes_with_the_next_line():
    out = io.StringIO()
    configure("info", "json", out)

    async def say(event, *, wait):
        get_log().info(event)
        async with asyncio.timeout(10):
            while wait and not told(out):
                await asyncio.sleep(0.001)

    asyncio.run(say("one", wait=False))
    assert told(out) == []
    asyncio.run(say("two", wait=True))
    assert told(out) == ["one", "two"]


def test_what_waits_when_the_process_ends_is_written():
    code = """if True:
        import asyncio
        from relay.telemetry import configure, get_log

        async def main():
            get_log().info("service.stopped")

        configure("info", "json")
        asyncio.run(main())
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert json.loads(ended.stderr)["event"] == "service.stopped"


def test_an_outage_that_every_part_meets_is_told_once_and_then_every_minute():
    now = 0.0
    sparse = Sparse(lambda: now)
    told = []
    for moment, error in [(0, "a"), (0.3, "a"), (1, "b"), (6, "b"), (7, "b"), (65.9, "b"), (66.1, "b"), (126.2, "b")]:
        now = float(moment)
        with suppress(structlog.DropEvent):
            told.append((moment, dict(sparse(None, "warning", {"event": "ledger.unavailable", "error": error}))))
    assert [(moment, line.get("repeated", 0)) for moment, line in told] == [(0, 0), (6, 2), (66.1, 2), (126.2, 0)]
    for _ in range(2):
        sparse(None, "info", {"event": "ledger.available"})
        assert sparse(None, "warning", {"event": "ledger.unavailable", "error": "b"})
    line = {"event": "chat.created"}
    assert [sparse(None, "info", line) for _ in range(3)] == [line] * 3


def test_an_outage_is_one_line_whatever_the_sources_and_forgets_the_one_before():
    sparse = Sparse(lambda: 0.0)

    def tell(**line):
        with suppress(structlog.DropEvent):
            return sparse(None, "warning", {"event": "ledger.unavailable", "error": "a", **line})
        return None

    assert [tell(source=source) is None for source in ("crm", "shop", "desk")] == [False, True, True]
    sparse(None, "info", {"event": "ledger.available"})
    assert "repeated" not in tell(source="shop")


def test_a_source_that_goes_on_does_not_hide_another_one():
    now = 0.0
    sparse = Sparse(lambda: now)
    told = []
    for moment, source in [(0, "a"), (1, "b"), (2, "a"), (59, "b"), (60, "a"), (60.5, "b"), (61, "b")]:
        now = float(moment)
        with suppress(structlog.DropEvent):
            told.append((moment, dict(sparse(None, "warning", {"event": "event.timeless", "source": source}))))
    assert [(moment, line["source"], line.get("repeated", 0)) for moment, line in told] == [
        (0, "a", 0),
        (1, "b", 0),
        (60, "a", 1),
        (61, "b", 2),
    ]


def test_lines_go_through_it():
    out = io.StringIO()
    configure("info", "json", out)
    for part in ("worker", "gate", "publisher"):
        get_log().warning("ledger.unavailable", part=part, error="away")
    assert [json.loads(line)["part"] for line in out.getvalue().splitlines()] == ["worker"]


def fail(message):
    raise ValueError(message)


@pytest.mark.parametrize("form", ["console", "json"])
def test_every_record_is_one_line_also_with_a_traceback_or_a_stack(form):
    out = io.StringIO()
    configure("info", form, out)
    log, library = get_log(), logging.getLogger("library")
    try:
        fail("two\nlines \x1b[2J")
    except ValueError:
        log.exception("part.failed", part="worker")
        library.exception("a library\nfailed")
    library.warning("where", stack_info=True)
    log.warning("text\nof several\rlines", value="a\nb", other=["c\nd"])
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert ["\x1b" in line for line in lines] == [False] * 4
    for line in lines[:2]:
        assert "test_logs.py" in line
        assert "ValueError" in line
        assert "two\\nlines" in line
    if form == "console":
        assert lines[0].index("part=worker") < lines[0].index(" exc=Traceback (most recent call last):\\n")
        assert "Stack (most recent call last)" in lines[2]
