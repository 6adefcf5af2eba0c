"""relay replay --since and relay jobs: a job that the relay does, followed, detached and cancelled."""

import json
import signal
import time

import pytest

from relay.model import JobState
from tests.ops.desk import NOW, make_job


def test_a_replay_is_followed_to_its_end(relay, url, desk):
    result = relay("replay", "--since", "24h", "--rule", "urgent", "--label", "customer=Acme", "--rate", "5/s")
    assert result.exit_code == 0
    [job] = desk.jobs_kept
    assert (job.aim.since, job.aim.label, job.aim.spacing) == (NOW - 86_400_000, ("customer", "Acme"), 200.0)
    assert "3 of 3" in result.stdout
    assert "urgent: 2" in result.stdout


def test_a_dry_run_says_what_it_would_make(relay, url, desk):
    shown = relay("replay", "--since", "24h", "--dry-run").stdout
    assert "nothing is made" in shown
    assert ["would", "make", "2"] in [line.split() for line in shown.splitlines()]
    assert desk.jobs_kept[0].aim.dry


def test_detached_it_is_not_waited_for(relay, url, desk):
    document = json.loads(relay("replay", "--since", "1h", "--detach", "--json").stdout)
    assert (document["state"], document["done"], document["total"]) == ("running", 0, 3)


def test_a_time_without_events_is_told(relay, url, desk):
    desk.total = 0
    result = relay("replay", "--since", "1h", "--until", "2h")
    assert (result.exit_code, "nothing was accepted from" in result.stderr) == (0, True)


def test_failed_events_are_exit_1_with_an_example(relay, url, desk):
    desk.outcome = {"done": 3, "failed": 2, "fault": "rule urgent: data.gone is missing", "fault_event": "0190-1"}
    result = relay("replay", "--since", "1h")
    assert result.exit_code == 1
    assert "2 events failed; the last one is 0190-1: rule urgent: data.gone is missing" in result.stderr


def test_a_job_that_a_person_cancelled_is_exit_1(relay, url, desk, monkeypatch):
    desk.stuck = True
    monkeypatch.setattr(time, "sleep", lambda _: cancel(desk))
    result = relay("replay", "--since", "1h")
    assert (result.exit_code, "job j-1 is cancelled" in result.stderr) == (1, True)


def cancel(desk):
    desk.jobs_kept[0] = make_job(1, state=JobState.CANCELLED, ended_at=NOW)


@pytest.fixture
def interruptible():
    """Ctrl-C counts, also where whoever runs the tests has told its processes to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_leaves_it_running_and_says_how_to_end_it(relay, url, desk, monkeypatch):
    desk.stuck = True
    monkeypatch.setattr(time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))
    result = relay("replay", "--since", "1h")
    assert result.exit_code == 130
    assert "the job goes on; `relay jobs j-1` shows it, `relay jobs --cancel j-1` ends it" in result.stderr
    assert desk.jobs_kept[0].state is JobState.RUNNING


@pytest.mark.parametrize(
    "args", [(), ("0190-1", "--since", "1h"), ("0190-1", "--rule", "x"), ("--since", "1h", "--again"), ("--rule", "x")]
)
def test_too_much_or_too_little_is_wrong_use(relay, args):
    assert relay("replay", *args).exit_code == 2


def test_a_replay_that_is_refused_says_why(relay, url):
    result = relay("replay", "--since", "1h", "--rule", "gone")
    assert (result.exit_code, 'there is no rule "gone"' in result.stderr) == (1, True)


def test_jobs_are_listed_shown_and_cancelled(relay, url, desk):
    assert relay("jobs").stdout == "no jobs\n"
    relay("replay", "--since", "1h", "--detach")
    assert relay("jobs").stdout.splitlines()[1].split()[:3] == ["j-1", "replay", "running"]
    assert json.loads(relay("jobs", "--json").stdout)["jobs"][0]["id"] == "j-1"
    assert json.loads(relay("jobs", "j-1", "--cancel", "--json").stdout)["state"] == "cancelled"
    assert "cancelled" in relay("jobs", "j-1").stdout
    result = relay("jobs", "j-1", "--cancel")
    assert (result.exit_code, "has ended as cancelled" in result.stderr) == (1, True)
    assert relay("jobs", "--cancel").exit_code == 2
