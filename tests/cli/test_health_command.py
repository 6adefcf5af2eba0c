"""health: the probe of an image."""

import json
import time

from relay.ops import make_health_app
from relay.telemetry import Metrics, Phase, Status
from tests.cli.conftest import serving
from tests.ops.desk import NOW, Memory


def start(status):
    """A relay that listens before it serves."""
    return lambda: make_health_app(status, Metrics(), Memory().gauges)


def test_one_that_starts_is_waited_for(relay, monkeypatch):
    """Its port is open before it takes events."""
    status = Status(lambda: NOW, lambda: 0.0)
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        status.phase = Phase.SERVING

    monkeypatch.setattr(time, "sleep", sleep)
    with serving(start(status)) as url:
        result = relay("health", "--url", url, "--wait", "30s")
        assert (result.exit_code, result.stdout, len(waited)) == (0, f"{url}: ready\n", 1)


def test_it_is_waited_for_no_longer_than_asked(relay):
    absent = relay("health", "--url", "http://127.0.0.1:1", "--wait", "1ms")
    assert (absent.exit_code, "does not answer" in absent.stderr) == (3, True)
    with serving(start(Status(lambda: NOW, lambda: 0.0))) as url:
        result = relay("health", "--url", url, "--wait", "1ms")
    assert (result.exit_code, "is not ready (503)" in result.stderr) == (3, True)
    wrong = relay("health", "--wait", "soon")
    assert (wrong.exit_code, "--wait" in wrong.stderr) == (2, True)


def make(age):
    times = iter([0.0, age, age, age])
    return lambda: make_health_app(Status(lambda: NOW, lambda: next(times)), Metrics(), Memory().gauges)


def test_a_living_relay(relay):
    with serving(make(1.0)) as url:
        result = relay("health", "--url", url)
        assert (result.exit_code, result.stdout) == (0, f"{url}: live\n")
        assert json.loads(relay("health", "--url", url, "--json").stdout) == {"url": url, "status": "live"}


def test_a_stuck_relay(relay):
    with serving(make(99.0)) as url:
        result = relay("health", "--url", url)
    assert result.exit_code == 3
    assert f"{url} is not alive (503): not live" in result.stderr


def test_nothing_there(relay):
    result = relay("health", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert (
        result.stderr == "relay: http://127.0.0.1:1 does not answer (Connection refused); is `relay serve` running?\n"
    )


def test_the_address_of_the_configuration(relay, tmp_path):
    with serving(make(1.0)) as url:
        config = tmp_path / "relay.yaml"
        config.write_text(f"cargo: {{token: x}}\nhttp: {{health: '0.0.0.0:{url.rpartition(':')[2]}'}}\n")
        result = relay("health", "--config", config)
    assert (result.exit_code, result.stdout) == (0, f"{url}: live\n")


def test_a_port_that_the_system_chooses_cannot_be_known(relay, tmp_path):
    config = tmp_path / "relay.yaml"
    config.write_text("cargo: {token: x}\nhttp: {health: 'localhost:0'}\n")
    result = relay("health", "--config", config)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "relay: http.health has port 0, so the system chooses a port at each start: give the address with --url"
    )


def test_an_address_that_is_none(relay):
    for bad in ("nonsense", "http://x:99999", "http://[x"):
        result = relay("health", "--url", bad)
        assert result.exit_code == 1
        assert "is not an address" in result.stderr
