"""send: a payload signed as the vendor would, judged by the scheme itself on the other side."""

import json
import socket
import time

import pytest
from aiohttp import web

from relay import schemes
from relay.errors import Rejected
from relay.secret import Secret
from tests.cli.conftest import serving

SECRET = "dGhlIHNlY3JldCBvZiBoZWxwZGVzaw=="


class Gate:
    """Takes what the scheme verifies, as a relay does; keeps the requests."""

    def __init__(self):
        self.scheme = schemes.build(schemes.SchemeSpec("zendesk", (Secret(SECRET),)))
        self.requests = []
        self.refuse = None

    async def take(self, request):
        body = await request.read()
        headers = schemes.Headers(request.headers.items())
        self.requests.append((headers, body))
        if self.refuse:
            return web.json_response({"detail": "come back later"}, status=self.refuse)
        try:
            now = int(time.time() * 1_000)
            self.scheme.verify(schemes.Request("POST", str(request.url), headers, body, now))
        except Rejected as error:
            return web.json_response({"detail": str(error)}, status=error.status)
        event = {"id": "0190-1", "externalId": "e", "status": "accepted", "type": "t"}
        return web.json_response({"events": [event | {"dispatches": [{"id": "d-1", "rule": "urgent"}]}]}, status=202)

    def app(self):
        app = web.Application()
        app.router.add_post("/hooks/helpdesk", self.take)
        return app


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def hooks(relay, gate, tmp_path, monkeypatch):
    """The URL of a hooks listener, which the configuration names."""
    monkeypatch.setenv("ZENDESK_SECRET", SECRET)
    with serving(gate.app) as url:
        (tmp_path / "config").mkdir()
        (tmp_path / "config/relay.yaml").write_text(
            f"http: {{hooks: '0.0.0.0:{url.rpartition(':')[2]}'}}\n"
            'cargo: {token: "${CARGO_API_TOKEN}"}\n'
            'sources:\n  helpdesk: {type: webhook, scheme: zendesk, secret: "${ZENDESK_SECRET}"}\n'
            "  bus: {type: amqp, queue: crm.events}\nbroker: {url: amqp://localhost}\n"
        )
        yield url


def test_it_is_signed_and_the_answer_is_shown(relay, hooks):
    result = relay("send", "helpdesk", "-", stdin='{"id": "1"}')
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["0190-1", "e", "accepted", "t", "urgent:", "d-1"]
    document = json.loads(relay("send", "helpdesk", "-", "--json", stdin="{}").stdout)
    assert document["events"][0]["id"] == "0190-1"


def test_a_header_of_ones_own_wins(relay, hooks, gate):
    result = relay("send", "helpdesk", "-", "-H", "X-Zendesk-Webhook-Signature: forged", "-H", "X-More: 1", stdin="{}")
    assert result.exit_code == 1
    assert result.stderr.startswith("relay: the relay answered 401: ")
    assert gate.requests[-1][0].get("x-zendesk-webhook-signature") == ("forged",)
    assert gate.requests[-1][0].get("x-more") == ("1",)


def test_the_secret_is_not_printed(relay, hooks):
    result = relay("send", "helpdesk", "-", stdin="{}")
    assert SECRET not in result.stdout + result.stderr


def test_only_this_sources_secret_must_be_set(relay, hooks, monkeypatch):
    monkeypatch.delenv("ZENDESK_SECRET")
    result = relay("send", "helpdesk", "-", stdin="{}")
    assert result.exit_code == 1
    assert "the variable ZENDESK_SECRET is not set" in result.stderr
    assert "CARGO_API_TOKEN" not in result.stderr


ADVICE = {
    400: "",
    404: "that relay has no webhook source helpdesk",
    429: "raise limit of helpdesk",
    503: "`relay health`",
}


@pytest.mark.parametrize(("status", "code"), [(400, 1), (404, 1), (429, 1), (503, 3)])
def test_a_refusal_is_an_exit_code_and_says_what_to_do(relay, hooks, gate, status, code):
    gate.refuse = status
    result = relay("send", "helpdesk", "-", stdin="{}")
    assert result.exit_code == code
    assert result.stderr.startswith(f"relay: the relay answered {status}: come back later")
    assert ADVICE[status] in result.stderr
    assert relay("send", "helpdesk", "-", "--json", stdin="{}").exit_code == code


def test_a_secret_that_is_another_says_where_to_look(relay, hooks, monkeypatch):
    monkeypatch.setenv("ZENDESK_SECRET", "another one, of thirty characters")
    told = relay("send", "helpdesk", "-", stdin="{}").stderr
    assert "the secret of helpdesk here differs from that of the running relay" in told
    assert "`relay events --rejected` says why" in told


@pytest.mark.parametrize(("args", "warned"), [((), True), (("-H", "X-GitHub-Event: issues"), False)])
def test_a_vendor_that_says_the_type_in_a_header_wants_it(relay, tmp_path, args, warned):
    path = tmp_path / "code.yaml"
    path.write_text("cargo: {token: t}\nsources: {code: {type: webhook, scheme: github, secret: a-long-secret-text}}\n")
    told = relay("send", "code", "-", "-c", path, "--url", "http://127.0.0.1:1", *args, stdin="{}").stderr
    assert ("add -H 'X-GitHub-Event: ...'" in told) is warned


def test_an_answer_in_xml_is_told_in_words(relay, tmp_path):
    async def acknowledge(_):
        return web.Response(text="<Ack>true</Ack>", content_type="text/xml")

    def make():
        app = web.Application()
        app.router.add_post("/hooks/crm", acknowledge)
        return app

    path = tmp_path / "crm.yaml"
    path.write_text(
        "cargo: {token: t}\nsources:\n  crm: {type: webhook, scheme: salesforce-outbound-message, "
        "secret: a-long-token-text}\n"
    )
    with serving(make) as url:
        told = relay("send", "crm", "-", "-c", path, "--url", url, stdin="<a/>").stdout.splitlines()
    assert told[0].startswith("200: accepted, and answered as Salesforce")
    assert told[1:] == ["<Ack>true</Ack>"]


def test_a_source_that_is_not_there_or_no_webhook(relay, hooks):
    assert "no source nobody in the configuration: known are bus, helpdesk" in relay("send", "nobody", "-").stderr
    assert "no source helpdsk in the configuration: did you mean helpdesk?" in relay("send", "helpdsk", "-").stderr
    result = relay("send", "bus", "-", stdin="{}")
    assert result.exit_code == 1
    assert "source bus is a queue; publish to crm.events" in result.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://127.0.0.1:99999", "http://[::1"])
def test_what_is_no_address_of_a_listener_is_shown_as_it_was_given(relay, hooks, url):
    result = relay("send", "helpdesk", "-", "--url", url, stdin="{}")
    assert result.exit_code == 1
    assert result.stderr == f"relay: --url {url!r} is not an address; write for example http://127.0.0.1:8080\n"


def test_no_relay_there_is_exit_code_3(relay, hooks):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = relay("send", "helpdesk", "-", "--url", url, stdin="{}")
    assert result.exit_code == 3
    assert f"no relay answers at {url}/hooks/helpdesk (Connection refused)" in result.stderr


class Anybody:
    """Takes whatever comes; keeps it."""

    def __init__(self):
        self.came = []

    async def take(self, request):
        self.came.append((str(request.url), schemes.Headers(request.headers.items()), await request.read()))
        return web.json_response({"events": []})

    def app(self):
        app = web.Application()
        app.router.add_post("/hooks/{source}", self.take)
        return app


def sent(relay, tmp_path, source, name, body, *args):
    """What a relay would get of `relay send` from this source of the configuration."""
    anybody = Anybody()
    (tmp_path / "relay.yaml").write_text(json.dumps({"cargo": {"token": "t"}, "sources": {"one": source}}))
    (tmp_path / name).write_text(body)
    with serving(anybody.app) as url:
        result = relay("send", "one", name, "--config", "relay.yaml", "--url", url, *args)
    return result, anybody.came


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("a.json", "{}", "application/json"),
        ("a.xml", "<a/>", "text/xml; charset=utf-8"),
        ("a.form", "a=1", "application/x-www-form-urlencoded"),
        ("a.ndjson", "{}", "application/x-ndjson"),
        ("a.txt", " <a/>", "text/xml; charset=utf-8"),
        ("a.txt", "[]", "application/json"),
        ("a.txt", "a=1", "application/x-www-form-urlencoded"),
    ],
)
def test_the_content_type_is_that_of_the_file_or_of_how_it_begins(relay, tmp_path, name, body, kind):
    _, [(_, headers, came)] = sent(relay, tmp_path, {"type": "webhook", "scheme": "none"}, name, body)
    assert (headers.first("content-type"), came) == (kind, body.encode())


def test_a_token_goes_where_the_vendor_puts_it(relay, tmp_path):
    source = {"type": "webhook", "scheme": "mailchimp", "secret": "Sesam"}
    _, [(url, _, _)] = sent(relay, tmp_path, source, "a.form", "type=subscribe")
    assert url.endswith("/hooks/one?token=Sesam")
    source = {"type": "webhook", "scheme": "aircall", "secret": "Sesam"}
    _, [(_, _, body)] = sent(relay, tmp_path, source, "a.json", '{"event": "call.created"}')
    assert json.loads(body) == {"event": "call.created", "token": "Sesam"}


def test_where_the_secret_is_a_public_key_the_private_one_signs(relay, tmp_path):
    pair = schemes.example("discord")
    source = {"type": "webhook", "scheme": "discord", "secret": pair.secret}
    (tmp_path / "key.pem").write_text(pair.private)
    result, [(url, headers, body)] = sent(relay, tmp_path, source, "a.json", "{}", "--private-key", "key.pem")
    assert result.exit_code == 0
    scheme = schemes.build(schemes.SchemeSpec("discord", (Secret(pair.secret),)))
    scheme.verify(schemes.Request("POST", url, headers, body, int(time.time() * 1_000)))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "this sender signs with a private key (ed25519); give it in PEM"),
        (("--private-key", "missing.pem"), "missing.pem cannot be read"),
        (("--private-key", "a.json"), "this cannot be signed like Discord"),
    ],
)
def test_a_private_key_that_is_missing_or_none_is_one_plain_line(relay, tmp_path, args, told):
    source = {"type": "webhook", "scheme": "discord", "secret": schemes.example("discord").secret}
    result, came = sent(relay, tmp_path, source, "a.json", "{}", *args)
    assert (result.exit_code, came) == (1, [])
    assert told in result.stderr


def test_a_form_where_the_vendor_s_token_needs_json_is_one_plain_line(relay, tmp_path):
    source = {"type": "webhook", "scheme": "mailgun", "secret": "Sesam"}
    result, came = sent(relay, tmp_path, source, "a.form", "timestamp=1&token=a")
    assert (result.exit_code, came) == (1, [])
    assert "this cannot be signed like Mailgun does" in result.stderr
