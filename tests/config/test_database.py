"""What `check` says of `ledger` with PostgreSQL: the URL, the keys beside it, the files that both name."""

import pytest

from relay.config import load
from relay.errors import Misconfigured
from tests.services.authority import Authority

URL = "postgresql://u:hush-hush@db/relay"


@pytest.fixture
def told(tmp_path):
    """The lines for a configuration with this ledger: faults, or else warnings."""

    def told(*, strict=True, **ledger):
        path = tmp_path / "relay.yaml"
        keys = ", ".join(f'{key}: "{value}"' for key, value in ledger.items())
        source = "{a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}"
        rule = "{name: one, source: a, chat: {agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}}"
        path.write_text(f"cargo: {{token: t}}\nsources: {source}\nrules: [{rule}]\nledger: {{{keys}}}\n")
        try:
            lines = [f"warning: {line}" for line in load([path], {}, strict=strict).warnings]
        except Misconfigured as error:
            lines = list(error.faults)
        assert "hush" not in "".join(lines)
        return [line.replace(f"{path}:", "") for line in lines if "does not enforce TLS" not in line]

    return told


@pytest.fixture
def files(tmp_path):
    """An authority's file, and a certificate and key of its making; another key; a file that is none of them."""
    ours, other = Authority("Ours"), Authority("Others")
    ours.write(tmp_path / "ca.pem")
    ours.issue("relay").write(tmp_path / "cert.pem", tmp_path / "key.pem")
    other.issue("relay").write(tmp_path / "other.pem", tmp_path / "other.key")
    (tmp_path / "note.txt").write_text("Dear diary")
    return tmp_path


@pytest.mark.parametrize("form", ["postgres://u@db/relay", "postgresql:///relay?host=/run/postgresql&user=relay"])
def test_a_url_as_libpq_takes_it_is_taken(told, form):
    assert told(url=form) == []


@pytest.mark.parametrize(
    ("ledger", "line"),
    [
        ({"url": f"{URL}?pgbouncer=true"}, "4:15: ledger.url: has `pgbouncer`, which Relay does not support: leave it"),
        ({"url": f"{URL}?channel_binding=require"}, "4:15: ledger.url: has channel_binding=require, which Relay"),
        ({"url": "postgresql+asyncpg://u:hush@db/relay"}, "4:15: ledger.url: names a library"),
        ({"url": "jdbc:postgresql://db/relay?password=hush"}, "4:15: ledger.url: is a URL for Java"),
        ({"url": f"{URL}?sslmode=disable", "ca_file": "{files}/ca.pem"}, "ledger.ca_file: verifies the server"),
        ({"url": URL, "cert_file": "{files}/cert.pem"}, "ledger.cert_file: needs ledger.key_file as well"),
        ({"url": URL, "ca_file": "{files}/note.txt"}, "ledger.ca_file: contains no certificate in PEM"),
        (
            {"url": URL, "cert_file": "{files}/cert.pem", "key_file": "{files}/other.key"},
            "ledger.key_file: is not the key of",
        ),
        (
            {"url": f"{URL}?sslcert={{files}}/cert.pem&sslkey={{files}}/other.key"},
            "ledger.url: has a sslkey that is not the key of",
        ),
        ({"url": f"{URL}?sslmode=verify-full&sslrootcert={{files}}/note.txt"}, "ledger.url: has a sslrootcert that"),
        ({"url": URL, "schema": "pg_x"}, "ledger.schema: is a reserved schema of PostgreSQL"),
        ({"url": f"{URL}?options=-c%20jit%3Don"}, "warning: 4:15: ledger.url: sets jit in `options`, which Relay sets"),
        (
            {"url": f"{URL}?sslmode=prefer&sslrootcert={{files}}/ca.pem"},
            "warning: 4:15: ledger.url: has sslmode=prefer, with which sslrootcert does not verify the server",
        ),
        ({"url": "sqlite:///x", "schema": "a"}, "warning: 4:38: ledger.schema: has no effect with sqlite://"),
    ],
)
def test_what_cannot_be_right_is_told_at_its_key(told, files, ledger, line):
    lines = told(**{key: value.replace("{files}", str(files)) for key, value in ledger.items()})
    assert len(lines) == 1
    assert line in lines[0]


@pytest.mark.parametrize(
    ("ledger", "line"),
    [
        ({"url": URL, "ca_file": "/nowhere/ca.pem"}, "ledger.ca_file: cannot be read (/nowhere/ca.pem: no such file)"),
        (
            {"url": f"{URL}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"},
            "ledger.url: has a sslrootcert that cannot be read (/nowhere/ca.pem: no such file)",
        ),
        ({"url": f"{URL}?passfile=/nowhere/pgpass"}, "ledger.url: names a passfile that does not exist"),
    ],
)
def test_a_file_that_is_not_here_is_a_fault_only_where_the_relay_is_to_run(told, ledger, line):
    [fault] = told(**ledger)
    assert line in fault
    assert not fault.startswith("warning")
    [warning] = told(strict=False, **ledger)
    assert line in warning
    assert warning.startswith("warning")


def test_what_is_right_has_nothing_to_tell(told, files):
    keys = {"ca_file": files / "ca.pem", "cert_file": files / "cert.pem", "key_file": files / "key.pem"}
    assert told(url=f"{URL}?sslmode=verify-full", schema="relay", **keys) == []
    assert told(url="${NOT_SET}", strict=False, schema="${NEITHER}") != []
