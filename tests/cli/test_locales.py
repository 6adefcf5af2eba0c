"""Text of all the world, on a terminal or a pipe that knows only some of it; and one that closes early."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import make_ops, serving
from tests.ops.desk import Memory, make_dispatch, make_event, make_result

WORDS = "Zażółć gęślą jaźń 😀"
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UTF_8 = ("-X", "warn_default_encoding", "-W", "error::EncodingWarning")
"""Ends a command that reads or writes a file in the locale's encoding."""
LOCALES = {
    "ascii": PLAIN | {"PYTHONIOENCODING": "ascii:strict"},  # as LC_ALL=C alone, and nothing is let through
    "latin-1": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "latin-1:strict"},
}
CONFIG = f"""\
# {WORDS}
cargo: {{token: "${{TOKEN}}"}}
vars: {{name: "${{NAME}}"}}
sources: {{helpdesk: {{type: webhook, scheme: none, event: {{id: "{{{{ data.id }}}}"}}}}}}
rules: [{{name: all, when: "data.name != 'ż'", chat: {{name: "{{{{ vars.name }}}} {{{{ data.name }}}}",
  trigger: {{type: draft}}}}}}]
"""
RUN = """
import json, os, sys
from relay.cli import main
for command in json.load(open(0, encoding="utf-8")):
    sys.argv = ["relay", *map(os.fsdecode, (word.encode() for word in command))]
    try:
        main()
    except SystemExit as ended:
        sys.stdout.flush()
        os.write(1, f"<<{ended.code or 0}>>".encode())
"""
"""Commands one after the other in one process, their arguments as the system hands them over."""


@pytest.fixture
def memory():
    memory = Memory()
    event = make_event(1, type="ticket.założony", data={"subject": WORDS}, subject=WORDS)
    memory.add(event, make_dispatch(event, name=WORDS))
    memory.tell(make_result(1))
    memory.outbox[0].data.update(source="helpdesk", rule="pilne", eventId="0190-1", chatUuid=WORDS)
    return memory


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "relay.yaml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "faulty.yaml").write_text(CONFIG.replace("trigger", WORDS), encoding="utf-8")
    (tmp_path / "żółw.json").write_text(json.dumps({"id": "1", "name": WORDS}, ensure_ascii=False), encoding="utf-8")
    return tmp_path


def run(args, folder, locale, **given):
    env = {name: value for name, value in os.environ.items() if name[:3] not in {"LC_", "LAN", "PYT"}}
    env |= locale | {"RELAY_CONFIG": "relay.yaml", "TOKEN": "t", "NAME": WORDS}
    return subprocess.run(
        [sys.executable, *UTF_8, *args], cwd=folder, env=env, capture_output=True, timeout=120, check=False, **given
    )


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_no_command_ends_in_what_it_cannot_write(memory, folder, locale):
    hmac = ["--secret", WORDS, "--set", "header=x-signature", "-H", "x-signature: 00"]
    with serving(lambda: make_ops(memory)) as url:
        commands = {
            ("check",): 0,
            ("check", "--json"): 0,
            ("check", "--config", "faulty.yaml"): 1,
            ("check", "--config", f"{WORDS}.yaml"): 1,
            ("try", "helpdesk", "żółw.json"): 0,
            ("try", "helpdesk", "żółw.json", "--json"): 0,
            ("verify", "hmac", "żółw.json", *hmac): 1,
            ("sources",): 0,
            ("init", "zendesk", "--out", "-"): 0,
            ("init", WORDS): 1,
            ("init", "zendesk", "--out", f"{WORDS}.yaml"): 0,
            ("schema",): 0,
            (
                "send",
                "helpdesk",
                "żółw.json",
                "--id",
                WORDS,
                "-H",
                f"x-name: {WORDS}",
                "--url",
                "http://127.0.0.1:1",
            ): 3,
            ("events", "--url", url): 0,
            ("events", "--json", "--url", url): 0,
            ("events", "--text", WORDS, "--url", url): 0,
            ("show", "0190-1", "--url", url): 0,
            ("show", "0190-1", "--json", "--url", url): 0,
            ("show", WORDS, "--url", url): 1,
            ("tail", "--no-follow", "--url", url): 0,
            ("tail", "--no-follow", "--json", "--url", url): 0,
            ("--help",): 0,
        }
        done = run(["-c", RUN], folder, locale, input=json.dumps(list(commands), ensure_ascii=False).encode())
    encoding = locale["PYTHONIOENCODING"].partition(":")[0]
    told, said = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert "Traceback" not in said, said
    *parts, rest = told.replace("<<", ">>").split(">>")
    assert rest == ""
    outputs = dict(zip(commands, parts[0::2], strict=True))
    assert [int(code) for code in parts[1::2]] == list(commands.values()), said
    shown = WORDS.encode(encoding, "backslashreplace").decode(encoding)
    for command in [
        ("try", "helpdesk", "żółw.json"),
        ("show", "0190-1", "--url", url),
        ("tail", "--no-follow", "--url", url),
    ]:
        assert shown in outputs[command]
    assert "ticket.za\\u0142o\\u017cony" in outputs["events", "--url", url]
    assert json.loads(outputs["show", "0190-1", "--json", "--url", url])["data"] == {"subject": WORDS}
    body = json.loads(outputs["try", "helpdesk", "żółw.json", "--json"])["events"][0]["rules"][0]["body"]
    assert body["name"] == f"{WORDS} {WORDS}"
    assert memory.queries[-1].text == WORDS
    assert (folder / f"{WORDS}.yaml").exists()


def test_what_is_no_text_at_all_is_one_plain_line(memory, folder):
    with serving(lambda: make_ops(memory)) as url:
        done = run(["-m", "relay", "show", "--url", url, os.fsdecode(b"\xff\xfe")], folder, {"LC_ALL": "C.UTF-8"})
    assert done.returncode == 1
    assert done.stderr.decode().endswith(
        " cannot be written in the encoding utf-8: set LC_ALL=C.UTF-8 and write UTF-8\n"
    )
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("args", [("events", "--limit", "500"), ("tail", "--no-follow")], ids=" ".join)
def test_a_reader_that_goes_early_is_no_fault_to_be_told(folder, args):
    """As `relay events | head -1`."""
    memory = Memory()
    for number in range(500):
        event = make_event(number)
        memory.add(event, make_dispatch(event))
        memory.tell(make_result(number))
        memory.outbox[-1].data.update(source="helpdesk", rule="urgent", eventId=event.id)
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with serving(lambda: make_ops(memory)) as url:
        process = subprocess.Popen(
            [sys.executable, "-m", "relay", *args, "--url", url],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=4096,  # less than it writes, so that it is still writing
        )
        assert process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        process.wait(60)
    assert said == b""


@pytest.mark.parametrize(
    "args", ["schema", "init zendesk --out -", "check --json", "sources", "--help", "events --help"]
)
def test_an_output_that_cannot_be_written_is_one_plain_line(folder, args):
    """As on a full disk."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "relay", *args.split()],
            cwd=folder,
            env={**os.environ, "RELAY_CONFIG": "relay.yaml"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "relay: the output cannot be written (No space left on device); part of it is missing\n"


def test_closed_streams_end_no_command(folder):
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m relay check --config relay.yaml >&- 2>&-', sys.executable], cwd=folder, check=False
    )
    assert done.returncode == 0
