"""recipes, init --add, and several configurations at once: how a first configuration grows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relay.cli.recipes import find_recipes
from relay.config import load

FOLDER = Path(__file__).parents[2] / "config/recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))


def test_recipes_are_listed_and_printed_as_they_are(relay):
    listed = relay("recipes").stdout
    assert all(recipe.stem in listed for recipe in RECIPES)
    assert relay("recipes", "hubspot").stdout == (FOLDER / "hubspot.yaml").read_text()
    assert json.loads(relay("recipes", "hubspot", "--sample").stdout) == json.loads(
        (FOLDER / "hubspot.json").read_text()
    )
    assert "<soapenv:Envelope" in relay("recipes", "salesforce", "--sample").stdout
    assert [each["name"] for each in json.loads(relay("recipes", "--json").stdout)] == [path.stem for path in RECIPES]


def test_a_recipe_that_is_misspelt_is_guessed(relay):
    result = relay("recipes", "hubspt")
    assert (result.exit_code, result.stderr) == (1, "relay: there is no recipe 'hubspt': did you mean hubspot?\n")
    assert relay("recipes", "--sample").exit_code == 2


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_calls_the_cargo_that_the_environment_names(path):
    env = {"CARGO_BASE_URL": "http://127.0.0.1:8090/v1"}
    assert load([path], env, strict=False).settings.cargo.base_url == "http://127.0.0.1:8090/v1"
    assert load([path], {}, strict=False).settings.cargo.base_url == "https://api.getcargo.io/v1"


def test_all_recipes_together_keep_every_source_and_rule():
    settings = load(RECIPES, {}, strict=False).settings
    written = [yaml.safe_load(path.read_text()) for path in RECIPES]
    assert len(settings.sources) == sum(len(each["sources"]) for each in written)
    assert len(settings.rules) == sum(len(each["rules"]) for each in written)


def test_the_wheel_has_the_recipes(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=FOLDER.parents[1], check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    code = "from relay.cli.recipes import find_recipes; print(*find_recipes(), sep='\\n')"
    unpacked = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, unpacked], check=True)
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=unpacked, env={"PYTHONPATH": str(unpacked)}, check=True, capture_output=True
    )
    assert found.stdout.decode().split() == list(find_recipes())
    assert (unpacked / "relay/recipes").is_dir()


@pytest.mark.parametrize("vendor", ["zendesk", "github", "hubspot", "salesforce", "hmac", "none", "rabbitmq"])
def test_each_vendor_can_be_added(relay, vendor, monkeypatch):
    monkeypatch.setenv("CARGO_BASE_URL", "http://127.0.0.1:8090/v1")
    relay("init", "zendesk")
    before = Path("config/relay.yaml").read_text().splitlines()
    added = relay("init", vendor, "--add", "config/relay.yaml")
    assert added.exit_code == 0, added.stderr
    after = Path("config/relay.yaml").read_text().splitlines()
    assert [line for line in after if line in before and line.strip()] != []
    rest = iter(after)
    assert all(line in rest for line in before)  # in their order: nothing that was there is touched
    checked = json.loads(relay("check", "--json").stdout)
    assert checked["ok"]
    assert (len(checked["sources"]), len(checked["rules"])) == (2, 2)


@pytest.mark.parametrize(
    "text",
    [
        "cargo: {token: t}\n",
        "cargo: {token: t}\nsources:\nrules:\n# the end",
        "rules:\n- name: a\n  chat: {trigger: {type: draft}}\n# of what follows\ncargo: {token: t}\n",
        "sources:\n    crm: {type: webhook, scheme: none, event: {id: '{{ data.id }}'}}\ncargo: {token: t}",
        "cargo: {token: t}\r\nrules:\r\n  - name: crm-rule\r\n    chat: {trigger: {type: draft}}\r\n",
    ],
)
def test_a_file_of_any_form_takes_one_more(relay, tmp_path, text):
    path = tmp_path / "any.yaml"
    path.write_bytes(text.encode())
    had = load([path], {}, strict=False).settings
    assert relay("init", "hubspot", "--add", path).exit_code == 0
    now = load([path], {}, strict=False).settings
    assert [*had.sources, *now.sources][-1] not in had.sources or len(now.sources) == len(had.sources) + 1
    assert len(now.sources) == len(had.sources) + 1
    assert [rule.name for rule in now.rules][: len(had.rules)] == [rule.name for rule in had.rules]
    assert all(line in path.read_bytes().decode() for line in text.splitlines())


def test_a_folder_gets_a_file(relay, tmp_path, monkeypatch):
    monkeypatch.setenv("CARGO_BASE_URL", "http://127.0.0.1:8090/v1")
    relay("init", "zendesk", "--out", "conf/a.yaml")
    assert relay("init", "rabbitmq", "--add", "conf").exit_code == 0
    assert {path.name for path in (tmp_path / "conf").iterdir()} == {"a.yaml", "crm-bus.yaml"}
    assert json.loads(relay("check", "--json", "-c", "conf").stdout)["sources"] == ["crm-bus", "helpdesk"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "cannot be read: No such file or directory; write a first configuration with `relay init`"),
        ("sources: {}\n", "sources is written in brackets; write one entry per line"),
        ("- a\n", "is not a configuration"),
        ("sources: yes\n", "sources is not a block, so no line can be added"),
        ("a: [", "any.yaml:"),
    ],
)
def test_what_takes_no_more_is_left_as_it_is(relay, tmp_path, text, told):
    path = tmp_path / "any.yaml"
    if text is not None:
        path.write_text(text)
    result = relay("init", "hubspot", "--add", path)
    assert result.exit_code == 1
    assert told in result.stderr
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if text is None else [text])


def test_init_of_hubspot_has_a_type_and_a_condition(relay):
    (rule,) = yaml.safe_load(relay("init", "hubspot", "--out", "-").stdout)["rules"]
    assert (rule["type"], rule["when"].split(" and ")[0]) == ("deal.propertyChange", 'data.propertyName == "dealstage"')


def test_what_a_later_file_overrides_is_told(relay, monkeypatch):
    """Of two first configurations one rule remains: nobody should have to find that out by counting."""
    monkeypatch.setenv("CARGO_BASE_URL", "http://127.0.0.1:8090/v1")
    relay("init", "zendesk", "--out", "a.yaml")
    relay("init", "hubspot", "--out", "b.yaml")
    told = json.loads(relay("check", "--json", "-c", "a.yaml", "-c", "b.yaml").stdout)["warnings"]
    told = [line for line in told if "overrides" in line]
    assert len(told) == 1
    assert "rules[first-rule]: overrides the value at a.yaml:" in told[0]
    Path("c.yaml").write_text("sources: {crm: {type: webhook, scheme: none}}\ncargo: {timeout: 3s, token: t}\n")
    told = json.loads(relay("check", "--json", "-c", "b.yaml", "-c", "c.yaml").stdout)["warnings"]
    keys = [line.split(": ")[1] for line in told if "overrides" in line]
    assert keys == ["sources.crm", "cargo.token"]
