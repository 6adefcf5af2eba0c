"""The bench's own parts: what is chosen, what is compared, what is drawn."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.bench.chart import draw, is_saturated
from tests.bench.client import make_requests
from tests.bench.load import Pace
from tests.bench.report import Aim, Report
from tests.bench.run import BENCHES, PARTS, WAYS, read_parts
from tests.bench.sizes import read_sizes

ROOT = Path(__file__).parents[2]
EVERYTHING = {word for word, _ in PARTS.values()}


def test_every_part_can_be_run_and_is_documented():
    assert {*BENCHES, *WAYS} == EVERYTHING
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert dict(re.findall(r"^\| ([a-z]) \| ([a-z]+) \|", page, re.MULTILINE)) == {
        letter: word for letter, (word, _) in PARTS.items()
    }


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ([], EVERYTHING),
        (["everyday", "peers"], {"everyday", "peers"}),
        (["c", "p"], {"everyday", "peers"}),
        (["cp", "burst"], {"everyday", "peers", "burst"}),
    ],
)
def test_parts_are_chosen_by_words_and_letters(given, chosen):
    assert read_parts(given) == chosen


@pytest.mark.parametrize("unknown", ["everday", "z"])
def test_an_unknown_part_is_refused_with_those_that_there_are(unknown):
    with pytest.raises(ValueError, match=rf"{unknown}.*everyday"):
        read_parts([unknown])


@pytest.mark.parametrize("quick", [True, False])
def test_sizes_are_set_by_their_variables(monkeypatch, quick):
    monkeypatch.setenv("BENCH_MANY", "1000000")
    monkeypatch.setenv("BENCH_LOADS", "10,20")
    sizes = read_sizes(quick=quick)
    assert (sizes.many, sizes.loads) == (1_000_000, (10, 20))


@pytest.mark.parametrize("text", ["1e6", "-1", "0", "", "1,2"])
def test_what_is_no_size_is_refused_by_its_name(monkeypatch, text):
    monkeypatch.setenv("BENCH_MANY", text)
    with pytest.raises(ValueError, match="BENCH_MANY"):
        read_sizes(quick=True)


def test_a_ratio_is_the_median_of_the_ratios_of_each_round(capsys):
    """A round on a slow moment of the machine slows both sides: medians of each would be of different moments."""
    report = Report(as_json=True)
    report.begin("burst", "burst")
    report.compare("SQLite", [100, 10, 30], "/s", "loop", [100, 20, 10], Aim("at least", 1))
    report.finish()
    (figure,) = json.loads(capsys.readouterr().out)
    assert figure == {
        "part": "burst",
        "what": "SQLite",
        "value": 30,
        "unit": "/s",
        "against": "loop",
        "other": 20,
        "ratio": 1.0,
        "low": 0.5,
        "high": 3.0,
        "rounds": 3,
        "aim": "at least 1",
    }


def test_each_request_has_an_id_of_its_own_that_its_headers_carry():
    requests = make_requests("http://127.0.0.1:1/hooks/crm", 3)
    assert len(dict(requests)) == 3
    assert all(f"webhook-id: {name}\r\n".encode() in raw.lower() for name, raw in requests)


@pytest.mark.parametrize(
    ("told", "saturated"), [([], False), ([50], False), ([100, 50], False), ([50, 100], False), ([100, 50, 60], True)]
)
def test_a_curve_ends_after_two_loads_that_were_too_much(told, saturated):
    curve = [Pace(offered=100, told=each, answer=(2, 5), result=(24, 40), cpu=1, missing=0, refused=0) for each in told]
    assert is_saturated(curve) is saturated


def test_the_chart_shows_every_curve_and_asks_no_other_host(tmp_path):
    curve = [
        Pace(offered=load, told=load, answer=(2, 5), result=(24, 40), cpu=1, missing=0, refused=0)
        for load in (50, 200, 1_600)
    ]
    draw({"SQLite": curve, "PostgreSQL": curve[:1]}, tmp_path / "bench.svg")
    text = (tmp_path / "bench.svg").read_text()
    words = set("".join(ET.fromstring(text).itertext()).split("\n"))
    for curve_name in ("SQLite, answer p99", "PostgreSQL, result p99", "offered"):
        assert any(curve_name in line for line in words), curve_name
    assert {urlsplit(url).netloc for url in re.findall(r"https?://[^\"' >]+", text)} == {"www.w3.org"}
