"""What strangers send never reaches a terminal or a pipe raw, whichever command shows it and in whichever form."""

import io
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from unicodedata import category

import pytest
import structlog

from relay.telemetry import configure, get_log
from tests.cli.conftest import make_ops, serving
from tests.ops.desk import Memory, make_event, make_failed, make_rejection, make_result

EVIL = "x\x1b[31m\x1b]0;owned\x07\x9b2J\x7f\x85\r\u202eevil\u2066\u200b\u200f\u061c\u2028\u2029\ufeff\U000e0001"
BODY = json.dumps({"id": EVIL, "type": EVIL, EVIL: EVIL})

CONFIG = """
cargo: {token: t}
sources:
  shop: {type: webhook, scheme: none, event: {id: "{{ data.id }}", type: "{{ data.type }}"}}
rules:
  - name: all
    chat:
      name: "{{ data.id }}"
      trigger: {type: draft, agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a}
"""

COMMANDS = {
    "events": ["events"],
    "refused requests": ["events", "--rejected"],
    "show": ["show", "0190-1"],
    "show nothing": ["show", EVIL],
    "events of what is none": ["events", "--status", EVIL],
    "retry": ["retry", EVIL],
    "readmit": ["readmit", EVIL],
    "sources": ["sources", EVIL],
    "tail": ["tail", "--no-follow"],
    "try": ["try", "shop", "body.json", "--config", "relay.yaml"],
    "verify": ["verify", "github", "body.json", "--secret", "s", "-H", f"x-github-event: {EVIL}"],
    "check": ["check", "--config", "evil.yaml"],
    "wrong usage": [EVIL],
}
RUN = """
import json, sys
from relay.cli import app
from relay.cli.terminal import prepare
prepare()
for args in json.loads(sys.argv[1]):
    try:
        app(args, prog_name="relay")
    except SystemExit:
        pass
    print("<next>", flush=True)
    print("<next>", file=sys.stderr, flush=True)
"""


def unsafe(text, keep="\n\t"):
    return sorted({char for char in text if char not in keep and category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "body.json").write_text(BODY)
    (tmp_path / "relay.yaml").write_text(CONFIG)
    evil = json.dumps(EVIL[:-1])[1:-1].replace("\\u007f", "\\x7f")
    (tmp_path / "evil.yaml").write_text(
        CONFIG.replace("scheme: none", f'scheme: "{evil}"').replace("type: draft", f'type: "{evil}"')
    )
    return tmp_path


@pytest.fixture(scope="module")
def url():
    memory = Memory()
    event, dispatch, attempts, told = make_failed(1)
    memory.add(
        replace(event, type=EVIL, subject=EVIL, external_id=EVIL, data={EVIL: EVIL}, correlation_id=EVIL),
        replace(dispatch, rule=EVIL, name=EVIL, body=json.dumps({EVIL: EVIL}), message=EVIL),
        attempts=attempts,
        results=[told],
    )
    view = make_rejection(1)
    memory.refused.append(replace(view, rejection=replace(view.rejection, hint=EVIL, remote=EVIL)))
    memory.tell(
        replace(make_result(1), source=EVIL, data={"source": EVIL, "eventId": "1", "rule": EVIL, "chatUuid": EVIL})
    )
    with serving(lambda: make_ops(memory)) as address:
        yield address


def on_a_terminal(folder, commands):
    """What stdout and stderr show of it where both are one terminal."""
    ours, its = os.openpty()
    env = os.environ | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(commands)], cwd=folder, env=env, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    shown = b""
    with suppress(OSError):
        while chunk := os.read(ours, 65_536):
            shown += chunk
    done.wait(60)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("as_json", [False, True], ids=["people", "json"])
def test_no_command_passes_it_on_to_a_pipe(folder, url, as_json):
    asked = [[*args, "--json"] if as_json and name != "wrong usage" else args for name, args in COMMANDS.items()]
    env = os.environ | {"RELAY_URL": url, "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(asked)],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    parts = (stream.decode().split("<next>\n")[:-1] for stream in (done.stdout, done.stderr))
    for name, told, said in zip(COMMANDS, *parts, strict=True):
        assert "Traceback" not in said, (name, said)
        assert "owned" in told + said or name in {"show nothing", "retry", "verify"}, (name, told, said)
        assert not unsafe(told), (name, told)
        assert not unsafe(said), (name, said)
        if as_json:
            assert [json.loads(line) for line in told.splitlines()] or said, name


def test_no_command_passes_it_on_to_a_terminal(folder, url, monkeypatch):
    """Relay's own colours and weights are there; a stranger's are not, nor anything else that moves it."""
    monkeypatch.setenv("RELAY_URL", url)
    shown = on_a_terminal(folder, list(COMMANDS.values()))
    for part in shown.split("\x1b")[1:]:
        assert part.startswith("[")
        assert set(part[1 : part.index("m")]) <= set("0123456789;"), part[:40]
    assert not unsafe(shown, keep="\n\t\x1b")
    assert "x\x1b[31m" not in shown
    assert "\\x1b]0;owned" in shown


def test_a_line_break_in_a_cell_makes_no_row_of_its_own(relay, memory):
    memory.add(make_event(1, type="a\n0190-9  11-23 09:00:00Z  bank  paid"))
    with serving(lambda: make_ops(memory)) as address:
        lines = relay("events", "--url", address).stdout.splitlines()
    assert len(lines) == 2
    assert r"a\n0190-9" in lines[1]


@pytest.fixture
def unconfigured():
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_log_passes_it_on(unconfigured, form):
    class Utf8(io.StringIO):
        encoding = "utf-8"

    out = Utf8()
    configure("debug", form, out)
    log = get_log()
    log.warning(EVIL, reason=EVIL, many=[EVIL, {EVIL: EVIL}], **{EVIL: EVIL}, broken="\ud800")
    try:
        int(EVIL)
    except ValueError:
        log.exception("it.failed")
        logging.getLogger("a.library").exception("%s", EVIL)
    assert "owned" in out.getvalue()
    assert not unsafe(out.getvalue())
    if form == "json":
        said = [json.loads(line) for line in out.getvalue().splitlines()]
        assert said[0]["event"] == said[0]["reason"] == said[0][EVIL] == EVIL
