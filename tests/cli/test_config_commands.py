"""init, check, schema, try and migrate: what is done with a configuration and no service."""

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from typer.main import get_command

from relay import schemes
from relay.cli import app
from relay.cli.vendors import first, names

ROOT = Path(__file__).parents[2]

CONFIG = """\
cargo: {token: "${CARGO_API_TOKEN}"}
sources:
  helpdesk: {type: webhook, scheme: zendesk, secret: "${ZENDESK_SECRET}"}
rules:
  - name: urgent
    source: helpdesk
    when: data.detail.priority == "urgent"
    chat:
      name: "Ticket {{ data.detail.id }}"
      trigger: {type: draft}
  - name: never
    type: "other"
    chat:
      trigger: {type: draft}
"""


@pytest.fixture
def config(relay, tmp_path):
    path = tmp_path / "config" / "relay.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("vendor", names())
def test_what_init_writes_is_accepted(relay, vendor, monkeypatch):
    monkeypatch.setenv("CARGO_BASE_URL", "http://127.0.0.1:8090/v1")
    written = relay("init", vendor)
    assert written.exit_code == 0
    assert "relay check --config config/relay.yaml" in written.stdout
    checked = json.loads(relay("check", "--json").stdout)
    assert checked["ok"]
    assert checked["sources"] == [first(vendor).source]
    told = ("is not set", "id", "does not verify senders" if vendor == "none" else "is not set")
    assert all(any(one in warning for one in told) for warning in checked["warnings"])


def test_init_knows_every_scheme():
    assert schemes.names() <= set(names())


def test_init_names_the_variables_to_set(relay):
    assert "set CARGO_API_TOKEN and ZENDESK_SECRET, then" in relay("init", "zendesk").stdout


def test_init_overwrites_only_when_told(relay):
    assert relay("init", "zendesk").exit_code == 0
    before = Path("config/relay.yaml").read_text()
    again = relay("init", "github")
    assert (again.exit_code, again.stderr) == (
        1,
        "relay: config/relay.yaml already exists; use --force to overwrite it, or --out to name another file\n",
    )
    assert Path("config/relay.yaml").read_text() == before
    assert relay("init", "github", "--force").exit_code == 0
    assert "github" in relay("init", "github", "--out", "-").stdout


def test_init_of_an_unknown_vendor_lists_those_that_are(relay):
    result = relay("init", "nobody")
    assert result.exit_code == 1
    assert "`relay sources` lists the vendors;" in result.stderr


def test_init_into_a_place_that_cannot_be_written(relay):
    result = relay("init", "github", "--out", "/proc/relay.yaml")
    assert result.exit_code == 1
    assert "/proc/relay.yaml cannot be written" in result.stderr


def test_check_needs_no_secret_and_warns(relay, config):
    result = relay("check")
    assert result.exit_code == 0
    assert "warning: config/relay.yaml:1:16: cargo.token: the variable CARGO_API_TOKEN is not set" in result.stdout
    assert "sources (1): helpdesk" in result.stdout
    assert "rules (2): urgent, never" in result.stdout


def test_check_tells_every_fault_and_exits_1(relay, config):
    config.write_text(CONFIG.replace("scheme: zendesk", "scheme: zendisk").replace("draft", "draught", 1))
    result = relay("check")
    assert result.exit_code == 1
    assert "config/relay.yaml:3:" in result.stderr
    assert "config/relay.yaml:10:" in result.stderr
    assert "relay: the configuration has 2 faults" in result.stderr
    document = json.loads(relay("check", "--json").stdout)
    assert (document["ok"], len(document["faults"])) == (False, 2)


def test_the_configuration_is_named_by_option_variable_or_place(relay, config, monkeypatch, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("sources:\n  shop: {type: webhook, scheme: none}\n")
    both = ["config/relay.yaml", str(other)]
    assert json.loads(relay("check", "--json", "-c", both[0], "-c", both[1]).stdout)["sources"] == ["helpdesk", "shop"]
    monkeypatch.setenv("RELAY_CONFIG", ":".join(both))
    assert json.loads(relay("check", "--json").stdout)["files"] == both
    assert json.loads(relay("check", "--json", "-c", both[0]).stdout)["files"] == both[:1]


def test_no_configuration_is_said(relay):
    result = relay("check")
    assert result.exit_code == 1
    assert "config/relay.yaml: does not exist: write it with `relay init VENDOR`" in result.stderr


@pytest.mark.parametrize("kind", ["config", "result"])
def test_schemas_are_schemas(relay, kind):
    schema = json.loads(relay("schema", kind).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert len(str(schema)) > 1_000


def test_the_schema_of_the_api_is_openapi(relay):
    assert json.loads(relay("schema", "api").stdout)["openapi"] == "3.1.0"


def ticket(priority):
    return json.dumps({"id": "1", "type": "zen:event-type:ticket.created", "detail": {"id": 7, "priority": priority}})


def test_try_shows_what_matches_and_why_the_others_do_not(relay, config):
    result = relay("try", "helpdesk", "-", stdin=ticket("urgent"))
    assert result.exit_code == 0
    assert "rule urgent: matches" in result.stdout
    assert '"name": "Ticket 7"' in result.stdout
    assert "rule never: does not match" in result.stdout
    document = json.loads(relay("try", "helpdesk", "-", "--json", stdin=ticket("low")).stdout)
    assert [rule["matched"] for rule in document["events"][0]["rules"]] == [False, False]


def test_try_takes_no_more_than_the_source_does(relay, config):
    body = json.dumps({"detail": {"id": 7, "priority": "urgent", "text": "x" * (1 << 20)}})
    result = relay("try", "helpdesk", "-", stdin=body)
    assert (result.exit_code, "the body is larger than 1048576 bytes" in result.stderr) == (1, True)
    config.write_text(CONFIG.replace("scheme: zendesk,", "scheme: zendesk, max_body: 2MiB,"))
    assert "rule urgent: matches" in relay("try", "helpdesk", "-", stdin=body).stdout


def test_try_of_a_source_or_file_that_is_not_there(relay, config):
    result = relay("try", "nobody", "-", stdin="{}")
    assert result.exit_code == 1
    assert "nobody" in result.stderr
    result = relay("try", "helpdesk", "missing.json")
    assert result.stderr.splitlines()[-1] == (
        "relay: missing.json cannot be read: No such file or directory; name a file, or - for stdin"
    )
    assert relay("try", "helpdesk", "-", "-H", "nonsense", stdin="{}").exit_code == 1


def test_source_names_are_completed(relay, config):
    from relay.cli.settings import complete_source

    context = SimpleNamespace(params={"config": None})
    assert complete_source(context, "he") == ["helpdesk"]
    config.write_text("{")
    assert complete_source(context, "he") == []


@pytest.mark.parametrize("name", ["try", "send", "readmit", "forget"])
def test_a_command_that_takes_a_source_completes_it(relay, config, name):
    command = get_command(app).commands[name]
    context = command.make_context(name, [], resilient_parsing=True)
    [source] = [parameter for parameter in command.params if parameter.name == "source"]
    assert [item.value for item in source.shell_complete(context, "he")] == ["helpdesk"]


def test_migrate_makes_a_ledger_and_says_what_it_did(relay, config, monkeypatch, tmp_path):
    monkeypatch.setenv("CARGO_API_TOKEN", "x")
    monkeypatch.setenv("ZENDESK_SECRET", "y")
    assert relay("migrate", "--pending").exit_code == 1
    assert "applied: " in relay("migrate").stdout
    assert (tmp_path / "relay.db").exists()
    assert relay("migrate").stdout == "sqlite:///relay.db: is up to date\n"
    assert json.loads(relay("migrate", "--json").stdout) == {"url": "sqlite:///relay.db", "applied": []}


def test_migrate_of_a_file_that_is_no_ledger(relay, config, monkeypatch, tmp_path):
    monkeypatch.setenv("CARGO_API_TOKEN", "x")
    monkeypatch.setenv("ZENDESK_SECRET", "y")
    (tmp_path / "relay.db").write_text("not a database" * 1_000)
    (tmp_path / "relay.db").chmod(0o600)  # else it is warned of, too
    result = relay("migrate")
    assert result.exit_code == 2
    assert result.stderr.startswith("relay: ")


def test_migrate_of_a_server_that_is_away_is_exit_code_3(relay, config, monkeypatch):
    monkeypatch.setenv("CARGO_API_TOKEN", "x")
    monkeypatch.setenv("ZENDESK_SECRET", "y")
    config.write_text(CONFIG + "ledger: {url: postgresql://relay@127.0.0.1:1/relay}\n")
    result = relay("migrate")
    assert result.exit_code == 3
    assert "the ledger is unavailable" in result.stderr


def test_serve_refuses_a_configuration_with_faults_or_unset_variables(relay, config):
    result = relay("serve")
    assert result.exit_code == 2
    assert "the variable CARGO_API_TOKEN is not set" in result.stderr
    assert "the variable ZENDESK_SECRET is not set" in result.stderr
    assert relay("serve", "--grace", "soon").exit_code == 2
    assert relay("serve", "--linger", "soon").exit_code == 2


def test_migrate_prints_the_sql_for_a_databases_owner(relay, config, monkeypatch):
    monkeypatch.setenv("CARGO_API_TOKEN", "x")
    monkeypatch.setenv("ZENDESK_SECRET", "y")
    config.write_text(f"{CONFIG}ledger: {{url: 'postgresql://app@127.0.0.1:1/relay', schema: relay}}\n")
    args = ("--config", config)
    printed = relay("migrate", "--sql", *args)
    assert printed.exit_code == 0
    assert 'CREATE SCHEMA IF NOT EXISTS "relay";' in printed.stdout
    assert "CREATE TABLE dispatches (" in printed.stdout
    assert 'GRANT USAGE ON SCHEMA "relay" TO "app";' in printed.stdout
    assert relay("migrate", "--sql", "--pending", *args).exit_code == 2


def test_asyncapi_is_of_the_configuration_or_of_the_defaults(relay, config):
    config.write_text(CONFIG + 'broker: {url: "amqp://relay:hush@rabbit/crm"}\nresults: {exchange: told}\n')
    told = relay("schema", "asyncapi")
    assert json.loads(told.stdout)["servers"]["rabbitmq"]["host"] == "rabbit:5672"
    assert "hush" not in told.stdout
    config.unlink()
    default = json.loads(relay("schema", "asyncapi").stdout)
    assert default["channels"]["results"]["address"] == "relay.results"
    config.write_text("cargo: {token: t, tokn: u}\n")
    assert relay("schema", "asyncapi").exit_code == 1


def test_topology_names_what_relay_needs_and_what_its_user_may(relay, config):
    queue = (
        '  bus: {type: amqp, queue: in, bind: {exchange: crm, routing_keys: ["a b"]}, event: {id: "{{ data.id }}"}}\n'
    )
    broker = 'broker: {url: "amqps://relay:hush@rabbit/crm%2Fnew"}\n'
    config.write_text(broker + CONFIG.replace("sources:\n", "sources:\n" + queue))
    printed = relay("topology")
    lines = printed.stdout.splitlines()
    assert "rabbitmqadmin --vhost=crm/new declare exchange name=relay.dead type=topic durable=true" in lines
    assert "rabbitmqadmin --vhost=crm/new declare binding source=crm destination=in 'routing_key=a b'" in lines
    assert "# Must be there already: exchange 'crm'" in lines
    (rights,) = [line for line in lines if "declare permission" in line]
    assert rights.endswith(r" user=relay 'configure=^$' 'write=^(relay\.results|relay\.dead)$' 'read=^(in)$'")
    definitions = json.loads(relay("topology", "--json").stdout)
    assert [queue["name"] for queue in definitions["queues"]] == ["relay.results", "relay.dead", "in"]
    assert {each["vhost"] for kind in definitions.values() for each in kind} == {"crm/new"}
    assert "hush" not in printed.stdout + printed.stderr


def test_topology_has_the_exchanges_of_rules_once_each(relay, config):
    config.write_text(
        CONFIG.replace("  - name: never", "    result: {exchange: crm.results}\n  - name: never")
        + "    result: {exchange: crm.results}\nbroker: {url: 'amqps://relay@rabbit'}\n"
    )
    lines = relay("topology").stdout.splitlines()
    assert [line for line in lines if "declare exchange" in line and "crm" in line] == [
        "rabbitmqadmin --vhost=/ declare exchange name=crm.results type=topic durable=true"
    ]
    (rights,) = [line for line in lines if "declare permission" in line]
    assert r"'write=^(relay\.results|crm\.results)$'" in rights


def test_topology_without_a_broker_or_its_url(relay, config):
    nothing = relay("topology")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert nothing.stderr == (
        "relay: the configuration has no broker, so nothing is needed of RabbitMQ; `broker.url` would name one\n"
    ), "which is no fault"
    config.write_text(CONFIG + "broker: {url: '${RABBITMQ_URL}'}\n")
    unset = relay("topology")
    assert "broker.url: the variable RABBITMQ_URL is not set" in unset.stderr
    assert "virtual host /," in unset.stdout
