"""The documents for users against the program: what they name exists, what exists they name, what they show works."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jsonschema
import pytest
import yaml
from prometheus_client import Counter
from pydantic import BaseModel
from typer.main import get_command

from relay import config, proxy, schemes, trust
from relay.cli import app
from relay.config import AmqpSource, Bind, ClientCert, EventTemplates, LimitBlock, Rule, Settings, WebhookSource
from relay.model import BY_HAND, NEXT, ActName, EventStatus, ParkReason, ProblemKind, ResultType, State
from relay.ops.routes import ROUTES
from relay.outbox import wire
from relay.rules import Template, crm
from relay.rules.filters import FILTERS, STOCK_FILTERS
from relay.telemetry import Metrics
from tests.docs import senders
from tests.docs.readme import PAGES, ROOT, blocks, commands, links, quoted, section, words
from tests.services.process import find_port

SOURCES = sorted((ROOT / "relay").rglob("*.py"))
DOTTED = re.compile(r"[a-z]+\.[a-z_]+")
COMMANDS = get_command(app).commands
LEVELS = {"debug", "info", "warning", "error", "exception"}


def trees() -> Iterator[ast.Module]:
    for path in SOURCES:
        yield ast.parse(path.read_text())


def literals(tree: ast.AST) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def log_events() -> dict[str, set[str]]:
    """Every name that a module with a logger gives to a line, and the levels at which it is written by a plain call."""
    found: dict[str, set[str]] = {}
    for tree in trees():
        if not any(_calls(node, "get_log") for node in ast.walk(tree)):
            continue
        for text in literals(tree):
            if DOTTED.fullmatch(text):
                found.setdefault(text, set())
        for node in ast.walk(tree):
            if _is_log_call(node) and isinstance(node.args[0], ast.Constant):
                found[node.args[0].value].add(node.func.attr.replace("exception", "error"))
    return found


def _is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
        and bool(node.args)
    )


def rows(title: str) -> list[list[str]]:
    """The cells of the tables of a section, without heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_it_is_short_enough_to_be_read():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 250


def test_every_command_is_in_its_table_and_no_other():
    named = {cell.split()[1] for row in rows("Commands")[1:] for cell in quoted(row[0])}
    assert named == set(COMMANDS)


@pytest.mark.parametrize("line", [words for words in commands() if words[0] == "relay"], ids=" ".join)
def test_a_shown_command_exists_with_its_options(line):
    command = COMMANDS[line[1]]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in line[2:] if word.startswith("-")} <= known
    command.make_context(line[1], line[2:], resilient_parsing=False).close()


def test_options_in_the_table_of_commands_exist():
    for row in rows("Commands")[1:]:
        command = COMMANDS[next(iter(quoted(row[0]))).split()[1]]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words(row[1]) if word.startswith("-") and word != "-"} <= known


def keys(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        block = field.annotation if isinstance(field.annotation, type) else None
        inner = next((arg for arg in getattr(field.annotation, "__args__", ()) if isinstance(arg, type)), block)
        if inner is not None and issubclass(inner, BaseModel):
            named = "<name>." if getattr(field.annotation, "__origin__", None) is dict else ""
            yield from keys(inner, f"{prefix}{name}.{named}")
        else:
            yield f"{prefix}{name}"


def test_every_configuration_key_is_in_its_table():
    told = words(section("Configuration keys"))
    top = {key for key in keys(Settings, "") if "." in key and not key.startswith(("rules.", "defaults.", "tests."))}
    rules = {f"rules[].{key}" for key in Rule.model_fields}
    assert top - told == set()
    assert rules - quoted(section("Configuration keys")) == set()
    own = {*WebhookSource.model_fields, *AmqpSource.model_fields, *EventTemplates.model_fields} - {"type", "event"}
    blocks = {"bind": Bind, "limit": LimitBlock, "client_cert": ClientCert}
    assert own - set(blocks) - told == set()
    assert {f"{name}.{key}" for name, block in blocks.items() for key in block.model_fields} <= told
    assert {"sources.<name>.type", "sources.<name>.event", "vars.*", "defaults.*"} <= told


def test_the_defaults_in_the_table_of_keys_are_the_program_s():
    reference = yaml.safe_load((ROOT / "config/reference.yaml").read_text())
    for names, default, _ in (row for row in rows("Configuration keys")[1:] if len(row) == 3):
        found = re.findall(r"`((?:cargo|ledger|results|retry)\.\w+)`", names)
        shown = re.findall(r"`([^`]+)`", default)
        for name, value in zip(found, shown, strict=False):
            block, key = name.split(".")
            real = reference[block][key]
            assert (str(real).lower() if isinstance(real, bool) else str(real)) == value, name


def test_the_page_of_senders_is_what_their_entries_say():
    assert senders.PAGE.read_text() == senders.render(), "run: python -m tests.docs.senders"


def test_the_schemes_of_anybody_are_in_the_table_of_schemes_with_their_keys():
    told = {next(iter(quoted(row[0]))): quoted(row[2]) for row in rows("Configure") if len(row) == 3 and "`" in row[0]}
    for name in (name for name in schemes.names() if schemes.vendor(name).category == "generic"):
        given = {word for code in told[name] for word in code.split()}
        assert given == schemes.options(name), name


def test_every_crm_and_helpdesk_is_named():
    named = words(section("Configure")) | words(section("Recipes"))
    assert {name for name in schemes.names() if schemes.vendor(name).category in {"crm", "helpdesk"}} - named == set()


def test_every_filter_that_differs_from_jinja_s_is_told():
    own = {name for name, function in FILTERS.items() if STOCK_FILTERS.get(name) is not function.__wrapped__}
    gone = {name for name in STOCK_FILTERS if name not in FILTERS}
    told = {re.split(r"\W", code)[0] for code in quoted(section("Configure"))}
    assert own | gone <= told


def test_every_metric_is_in_its_table_with_its_labels():
    told = {
        re.sub(r"\{.*", "", code): set(re.findall(r"[{,](\w+)", code))
        for row in rows("Metrics")
        for code in quoted(row[0])
    }
    registry = Metrics().registry
    made = {}
    for metric in set(registry._names_to_collectors.values()):
        made[metric._name + ("_total" if isinstance(metric, Counter) else "")] = set(metric._labelnames)
    assert told == made


def test_every_outcome_of_a_chat_is_told():
    calls = [node for node in walk("") if isinstance(node, ast.Call)]
    given = [call.args[1] for call in calls if ast.unparse(call.func).endswith("metrics.chat")]
    named_by_state = {"suppressed", "superseded"}
    made = {node.value for node in given if isinstance(node, ast.Constant)} | named_by_state
    (told,) = [row[1] for row in rows("Metrics") if "`relay_chats_total" in row[0]]
    assert quoted(told) - {"_other", "delay"} == made


def test_every_log_event_is_in_its_table_at_its_level_and_no_other():
    told = {name: row[1] for row in rows("Log events")[1:] for name in quoted(row[0])}
    made = log_events()
    assert set(told) == set(made)
    assert {name: levels for name, levels in made.items() if levels - {told[name]}} == {}


def test_every_environment_variable_is_in_its_table_and_no_other():
    made = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "envvar":
                made.add(node.value.value)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.environ.get", "os.getenv"}:
                made.add(node.args[0].value)
    made |= {*proxy.VARIABLES, *trust.VARIABLES}
    assert {next(iter(quoted(row[0]))) for row in rows("Environment variables")[1:]} == made


def test_every_request_of_the_api_is_in_its_table_and_no_other():
    told = {code for row in rows("API")[1:] for code in quoted(row[0])}
    assert told == {f"{route.method} {route.path}" for route in ROUTES}


def reasons(*rooms: str) -> set[str]:
    """The literal reasons with which something is raised as Rejected or Unreadable."""
    given: list[ast.AST] = []
    for node in walk(*rooms):
        if isinstance(node, ast.keyword) and node.arg == "reason":
            given.append(node.value)
        elif _calls(node, "Unreadable"):
            given.append(node.args[0])
        elif _calls(node, "refuse") and len(node.args) > 1:
            given.append(node.args[1])
    return {node.value for node in given if isinstance(node, ast.Constant)}


def walk(*rooms: str) -> Iterator[ast.AST]:
    for room in rooms:
        for path in (ROOT / "relay" / room).rglob("*.py"):
            yield from ast.walk(ast.parse(path.read_text()))


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == name


def test_every_reason_for_a_refusal_is_told_and_no_other():
    told = {word for row in rows("HTTP answers of /hooks")[1:] for word in quoted(row[2])}
    assert reasons("hooks", "schemes") - told == set()
    known = {text for node in walk("hooks", "schemes") for text in literals(node)}
    assert {reason for reason in told - known if reason.removesuffix("_missing") not in known} == set()


def test_every_reason_of_a_dead_letter_is_told():
    made = {
        node.args[0].value
        for node in walk("consumer", "schemes")
        if _calls(node, "Unreadable") and isinstance(node.args[0], ast.Constant)
    }
    assert {"refused", *made} - quoted(section("Dead letters")) == set()


def test_every_state_result_and_parking_reason_is_told():
    states = {name for row in rows("States")[1:] for name in quoted(row[0])}
    assert states == {state.value for state in State}
    assert {kind.value for kind in ResultType} <= quoted(section("Results on RabbitMQ"))
    assert {kind.value for kind in ProblemKind} <= quoted(section("Problems"))
    assert {act.value for act in ActName} <= quoted(section("Acts"))
    assert {reason.value for reason in ParkReason} <= words(section("Error codes and reasons"))
    assert {status.value for status in EventStatus} <= quoted(section("HTTP answers of /hooks"))


def states_in(text: str) -> set[str]:
    return quoted(text) & {state.value for state in State}


def test_the_table_of_states_says_where_each_leads():
    (late,) = [line for line in section("States").splitlines() if line.startswith("When the chat of a call")]
    taken_to, taken_from = map(states_in, late.split("also from"))
    for names, _, goes_on, by_hand in rows("States")[1:]:
        for state in (State(name) for name in quoted(names)):
            late_chat = taken_to if state in taken_from else set()
            assert states_in(goes_on) | late_chat == set(NEXT.get(state, ())) - {state}, state
            assert states_in(by_hand) == set(BY_HAND.get(state, ())), state


def test_every_failure_s_code_is_told():
    made = {
        node.args[0].value for node in walk("") if _calls(node, "Failure") and isinstance(node.args[0], ast.Constant)
    }
    assert made - words(section("Error codes and reasons")) == set()


@pytest.mark.parametrize("code", blocks("yaml"), ids=range(len(blocks("yaml"))))
def test_a_shown_configuration_loads(code, tmp_path):
    shown = yaml.safe_load(code)
    frame = {} if "cargo" in shown else {"cargo": {"token": "any"}}
    queues = [source for source in shown.get("sources", {}).values() if source["type"] == "amqp"]
    if (queues or any("result" in rule for rule in shown.get("rules", ()))) and "broker" not in shown:
        frame["broker"] = {"url": "amqp://localhost"}
    (tmp_path / "frame.yaml").write_text(yaml.safe_dump(frame))
    (tmp_path / "shown.yaml").write_text(code)
    loaded = config.load([tmp_path], {}, strict=False)
    asked = ("is not set", "is empty, so that", "the file /run/secrets/relay.key")
    assert [line for line in loaded.warnings if not any(words in line for words in asked)] == []


@pytest.mark.parametrize("code", blocks("json"), ids=range(len(blocks("json"))))
def test_a_shown_document_is_json(code):
    assert isinstance(json.loads(code), dict)


def test_the_shown_result_is_as_the_schema_says():
    (shown,) = [json.loads(code) for code in blocks("json") if "relay.chat.created" in code]
    jsonschema.Draft202012Validator(wire.json_schema()).validate(shown)


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


class Shell:
    """Runs the commands of the README in a folder, as written, with free ports in place of the usual ones."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.port = {name: find_port() for name in ("hooks", "health", "ops", "cargo")}
        ports = {name: f"127.0.0.1:{self.port[name]}" for name in ("hooks", "health", "ops")}
        (folder / "ports.yaml").write_text(yaml.safe_dump({"http": ports}))
        relay_folder = Path(sys.executable).parent
        self.env = {"PATH": f"{relay_folder}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8"}
        self.env["RELAY_URL"] = f"http://127.0.0.1:{self.port['ops']}"

    def run(self, line: str) -> str:
        """What a line prints. It must end well; one that goes to the background is waited for until it answers."""
        line = line.split("  #", maxsplit=1)[0].strip().replace(":8090", f":{self.port['cargo']}")
        if line.startswith("export "):
            self.env |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
            if "RELAY_CONFIG" in self.env and "ports" not in self.env["RELAY_CONFIG"]:
                self.env["RELAY_CONFIG"] += ":ports.yaml"
            return ""
        if line.endswith("&"):
            return self._start(shlex.split(line.removesuffix("&")))
        done = subprocess.run(
            shlex.split(line), cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def _start(self, line: list[str]) -> str:
        name = "cargo" if "sandbox" in line else "ops"
        line += ["--port", str(self.port["cargo"])] if name == "cargo" else []
        self.stack.enter_context(running(line, self.folder, self.env))
        return name


@contextmanager
def running(line, folder, env):
    with (folder / f"{line[1]}.log").open("w") as log:
        process = subprocess.Popen(line, cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(30) == 0, (folder / f"{line[1]}.log").read_text()


def until(shell: Shell, line: str, wanted: str) -> str:
    """What the line prints once it has what is wanted: a chat takes a moment to be made. It never fails."""
    end = time.monotonic() + 20
    while True:
        printed = shell.run(line)
        if wanted in printed:
            return printed
        assert time.monotonic() < end, f"{line} does not print {wanted!r}: {printed}"
        time.sleep(0.1)


def test_the_first_steps_do_what_the_readme_says(tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    _, first, second = blocks("sh", section("Start"))
    with ExitStack() as stack:
        shell = Shell(tmp_path, stack)
        printed = {line.split("  ")[0]: shell.run(line) for line in first.splitlines()}
        assert "no faults" in printed["relay check"]
        assert "rule first-rule: matches" in printed["relay try helpdesk config/recipes/zendesk.json"]
        export, sandbox, serve, health, send, again, events, tail = second.splitlines()
        for line in (export, sandbox, serve):
            shell.run(line)
        assert shell.run(health).endswith(": ready\n")
        assert " accepted " in shell.run(send)
        assert " duplicate " in shell.run(again)
        listed = until(shell, events, "first-rule: done")
        told = until(shell, tail, "chat.created")
        event = listed.splitlines()[1].split()[0]
        chat = told.split()[-1]
        assert chat in shell.run(f"relay show {event}")


FILTER_EXAMPLES = [
    [cell.strip("`").replace("\\|", "|") for cell in row]
    for row in rows("Configure")
    if len(row) == 3 and row[0].startswith("`{{")
]
"""A template, its `data`, and what it gives."""


def test_every_filter_that_is_ours_has_an_example():
    templates = [template for template, _, _ in FILTER_EXAMPLES]
    assert {name for name in crm.FILTERS if not any(f"| {name}" in text for text in templates)} == set()


@pytest.mark.parametrize("row", FILTER_EXAMPLES, ids=[row[0] for row in FILTER_EXAMPLES])
def test_an_example_of_a_filter_gives_what_is_shown(row):
    template, data, shown = row
    got = Template(template).render({"data": json.loads(data)})
    assert str(got) == shown.replace("\\n", "\n")
