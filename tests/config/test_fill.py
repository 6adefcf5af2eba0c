"""`${}` in values: what is filled in, how it is typed, what is a fault."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from relay.config import AmqpSource, Settings, WebhookSource
from relay.config.fill import Filler
from relay.config.parse import parse
from relay.config.tree import bare
from relay.written.kinds import settle
from relay.written.reference import Opaque


def fill(text, env=None, *, strict=True, file="f.yaml"):
    node, faults = parse(text, file, 0)
    assert not faults
    filler = Filler(env or {}, strict=strict)
    return bare(filler.fill(node)), [str(fault) for fault in filler.faults]


def value(text, env=None):
    found, faults = fill(f"a: {text}", env)
    assert not faults
    return settle(found["a"])


def test_variables_and_defaults():
    env = {"A": "x", "EMPTY": ""}
    assert value("${A}", env) == "x"
    assert value("pre-${A}-${A}", env) == "pre-x-x"
    assert value("${B:-y}", env) == "y"
    assert value("${A:-y}", env) == "x"
    assert value("${EMPTY:-y}", env) == "y"
    assert value("${B:-http://host:80/?a=b}") == "http://host:80/?a=b"
    assert value('"${B:-}"') == ""


def test_two_dollars_are_one_and_a_lone_one_stays():
    assert value("$$") == "$"
    assert value("$${A}", {"A": "x"}) == "${A}"
    assert value("$$$${A}", {"A": "x"}) == "$${A}"
    assert value("$$${A}", {"A": "x"}) == "$x"
    assert value("cost: $5".replace(": ", "_")) == "cost_$5"


def test_what_is_filled_in_is_not_read_again():
    assert value("${A}", {"A": "${B} $$", "B": "no"}) == "${B} $$"


@given(st.text(alphabet="${}AB:-f le\\/x", max_size=30))
def test_a_variable_s_value_arrives_as_it_is(content):
    assert value('"${A}"', {"A": content, "B": "no"}) == content


@given(st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_doubling_the_dollars_quotes_any_text(content):
    quoted = "'" + content.replace("'", "''").replace("$", "$$") + "'"
    assert value(quoted, {}) == content


def test_an_unquoted_lone_reference_is_typed_as_yaml_would_and_a_quoted_one_is_text():
    env = {"PORT": "8080", "ON": "true", "NOTHING": "", "ID": "0123"}
    assert value("${PORT}", env) == 8080
    assert value("${ON}", env) is True
    assert value("${NOTHING}", env) is None
    assert value('"${PORT}"', env) == "8080"
    assert value("${PORT}s", env) == "8080s"


def test_keys_are_left_alone():
    assert fill("${A}: 1", {"A": "x"}) == ({"${A}": 1}, [])


def test_a_file_loses_one_final_newline(tmp_path):
    secret = tmp_path / "secret"
    for content, expected in ((b"abc\n", "abc"), (b"abc\n\n", "abc\n"), (b"abc\r\n", "abc"), (b"abc", "abc")):
        secret.write_bytes(content)
        assert value(f"${{file:{secret}}}") == expected


def test_a_relative_file_is_looked_for_beside_the_configuration(tmp_path):
    (tmp_path / "secret").write_text("abc\n")
    assert fill("a: ${file:secret}", file=str(tmp_path / "f.yaml"))[0] == {"a": "abc"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${GONE}", "f.yaml:1:4: a: the variable GONE is not set: set it, or write ${GONE:-default}"),
        ("${open", "`${` is not closed"),
        ("${}", "is not a reference"),
        ("${1A}", "is not a reference"),
        ("${A-b}", "is not a reference"),
        ("${file:/no/such/file}", "the file /no/such/file cannot be read (No such file or directory)"),
        ("${file:/}", "cannot be read (Is a directory)"),
        ("${BYTES}", "the variable BYTES is not UTF-8 text"),
    ],
)
def test_what_cannot_be_filled_in_is_a_fault_at_its_place(text, told):
    _, faults = fill(f"a: {text}" if "\n" in text else f"a: '{text}'", {"BYTES": "\udcff"})
    assert len(faults) == 1
    assert told in faults[0]


def models(model):
    """The model and those inside of it."""
    yield model
    for field in model.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from models(inner)


SECRETS = sorted(
    {
        name
        for model in (Settings, WebhookSource, AmqpSource)
        for each in models(model)
        for name, field in each.model_fields.items()
        if "Secret" in repr(field.annotation)
    }
    - {"proxy", "url"}
)
"""All keys whose values are secrets. A proxy's url often holds no password, so it may have a default; so may other
keys that are named as `alerts.url` is."""


@pytest.mark.parametrize("key", SECRETS)
def test_nobody_is_told_to_write_a_secret_into_the_file_as_a_default(key):
    for text in (f"{key}: ${{GONE}}", f"{key}: [a, '${{GONE}}']"):
        [fault] = fill(text)[1]
        assert "the variable GONE is not set: set it (`export GONE=...`), or name a file that holds it" in fault
        assert ":-" not in fault


@pytest.mark.parametrize("name", ["CARGO_API_TOKEN", "SHOP_SECRET", "DB_PASSWORD", "API_KEY", "API_KEYS", "GITHUB_PAT"])
def test_a_variable_with_the_name_of_a_secret_is_one_under_any_key(name):
    assert ":-" not in fill(f"a: ${{{name}}}")[1][0]


@pytest.mark.parametrize("name", ["MONKEY", "PATH_TO", "KEY_FILE", "RABBITMQ_URL", "KEYBOARD", "AGENT_UUID"])
def test_any_other_may_have_a_default(name):
    assert f"write ${{{name}:-default}}" in fill(f"a: ${{{name}}}")[1][0]


def test_a_file_that_is_no_text_or_too_large_is_a_fault(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\xff")
    assert "is not UTF-8 text" in fill(f"a: ${{file:{secret}}}")[1][0]
    secret.write_bytes(b"x" * (1 << 20) + b"x")
    assert "is larger than 1MiB" in fill(f"a: ${{file:{secret}}}")[1][0]


def test_an_unset_variable_is_opaque_where_that_is_allowed():
    found, faults = fill("a: x${GONE}y", strict=False)
    assert found == {"a": "x${GONE}y"}
    assert isinstance(found["a"], Opaque)
    assert "GONE is not set" in faults[0]


def test_an_unknown_uuid_stands_in_as_the_nil_uuid():
    found, _ = fill("agentUuid: ${GONE}\nname: ${GONE}", strict=False)
    assert settle(found) == {"agentUuid": "00000000-0000-0000-0000-000000000000", "name": "${GONE}"}
