"""Handshakes by themselves: which request is one, what is answered, what is refused."""

import json

import pytest

from relay.errors import Rejected
from relay.schemes import Headers, Reply, Request
from relay.schemes.entry import Answer, Handshake
from relay.schemes.greeting import Greeter, Replier
from relay.schemes.phrase import Scope


def request(method="POST", url="https://us/hooks/a?mode=subscribe", body=b'{"type": "ping", "n": 5}', headers=()):
    return Request(method, url, Headers([("content-type", "application/json"), *headers]), body, 0)


def greeter(options=None, key=b"key", **form):
    return Greeter(Handshake(name="hello", **form), options or {}, key)


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({}, True),
        ({"{{ data.type }}": "ping"}, True),
        ({"{{ data.type }}": "pong|ping"}, True),
        ({"{{ data.type }}": "*", "{{ data.n }}": "5"}, True),
        ({"{{ data.gone }}": "!"}, True),
        ({'{{ query["mode"] }}': "subscribe"}, True),
        ({"{{ data.type }}": "pong"}, False),
        ({"{{ data.type }}": "!"}, False),
        ({"{{ data.type }}": "ping", "{{ data.gone }}": "*"}, False),
        ({"{{ data.type }}": "Ping"}, False),
    ],
)
def test_a_handshake_is_known_by_all_of_its_conditions(when, fits):
    assert greeter(when=when).fits(request()) is fits
    assert not greeter(when=when, method="GET").fits(request())


def test_a_body_that_cannot_be_read_is_no_handshake():
    assert not greeter(when={"{{ data.type }}": "ping"}).fits(request(body=b"{"))
    assert not greeter(when={"{{ data.type }}": "*"}).fits(request(body=b"[]"))


@pytest.mark.parametrize(
    ("given", "right"), [("a", True), ("a\nb", True), ("b\na", True), ("aa", False), (None, False)]
)
def test_what_was_agreed_is_one_of_what_is_configured(given, right):
    options = {} if given is None else {"topics": given}
    one = greeter(options, equal={"{{ data.topic }}": "{{ options.topics }}"})
    if right:
        assert one.greet(request(body=b'{"topic": "a"}')).name == "hello"
        return
    with pytest.raises(Rejected) as caught:
        one.greet(request(body=b'{"topic": "a"}'))
    assert (caught.value.status, caught.value.reason) == (403, "handshake_wrong")


@pytest.mark.parametrize("body", [b"{}", b'{"topic": null}', b'{"topic": ""}', b'{"topic": ["a"]}', b"{"])
def test_what_is_left_out_is_not_what_was_agreed(body):
    with pytest.raises(Rejected):
        greeter({"topics": "a"}, equal={"{{ data.topic }}": "{{ options.topics }}"}).greet(request(body=body))


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ({}, Reply()),
        ({"status": 204}, Reply(204)),
        ({"type": "text/plain", "text": "{{ data.type }}!"}, Reply(200, "text/plain", b"ping!")),
        ({"text": "{{ data.gone }}"}, Reply()),
        ({"text": "<Ack>true</Ack>", "type": "text/xml"}, Reply(200, "text/xml", b"<Ack>true</Ack>")),
        ({"json": {"a": "{{ data.n }}", "b": 1, "c": True, "d": "plain"}}, {"a": "5", "b": 1, "c": True, "d": "plain"}),
        ({"json": {"a": "{{ data.gone }}"}}, {"a": ""}),
        ({"headers": {"X-A": "{{ data.type }}", "X-B": "{{ data.gone }}"}}, Reply(headers={"X-A": "ping"})),
    ],
)
def test_an_answer_is_filled_from_the_request(answer, reply):
    filled = Replier(Answer.model_validate(answer)).fill(Scope(request()))
    assert (json.loads(filled.body) if isinstance(reply, dict) else filled) == reply


def test_what_is_echoed_is_bounded_and_ends_no_header():
    """The challenge is a stranger's word."""
    body = json.dumps({"c": "x" * 10_000, "line": "a\r\nSet-Cookie: b", "half": "\ud800"}).encode()
    echo = Replier(Answer(text="{{ data.c }}", headers={"X-A": "{{ data.line }}", "X-C": "{{ data.c }}"}))
    reply = echo.fill(Scope(request(body=body.replace(b"\\ud800", b"\\u00fc"))))
    assert reply.body == b"x" * 4_096
    assert reply.headers == {"X-A": "a", "X-C": "x" * 4_096}
    told = Replier(Answer.model_validate({"json": {"c": "{{ data.c }}"}})).fill(Scope(request(body=b'{"c": "\\"}{"}')))
    assert json.loads(told.body) == {"c": '"}{'}


def test_a_secret_is_learnt_only_where_one_came():
    one = greeter(learn='{{ headers["x-hook-secret"] }}')
    assert one.greet(request(headers=[("X-Hook-Secret", "Sesam-open-thyself")])).learn.reveal() == "Sesam-open-thyself"
    assert one.greet(request()).learn is None
    assert one.greet(request(headers=[("X-Hook-Secret", " ")])).learn is None
    assert "Sesam" not in repr(one.greet(request(headers=[("X-Hook-Secret", "Sesam-open-thyself")])))


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://confirm.example.com/?a=1", True),
        ("https://confirm.example.com", True),
        ("https://confirm.example.com?a=1", True),
        ("http://confirm.example.com/", False),
        ("HTTPS://confirm.example.com/", False),
        ("https://confirm.example.com.evil/", False),
        ("https://confirm.example.com@evil/", False),
        ("https://evil#confirm.example.com/", False),
        ("https://confirm.example.com\\@evil/", False),
        ("https://confirm.example.com:443/", False),
        ("https:///confirm.example.com/", False),
        ("//confirm.example.com/", False),
        ("", False),
    ],
)
def test_an_address_to_confirm_is_on_the_vendors_host(url, right):
    one = greeter(confirm="{{ data.url }}", host=r"confirm\.example\.com")
    asked = request(body=json.dumps({"url": url}).encode())
    if right:
        assert one.greet(asked).confirm == url
        return
    with pytest.raises(Rejected) as caught:
        one.greet(asked)
    assert (caught.value.status, caught.value.reason) == (403, "handshake_wrong")


@pytest.mark.parametrize("length", [1, 15, 16, 64])
def test_a_secret_that_can_be_guessed_is_not_learned(length):
    one = greeter(learn='{{ headers["x-hook-secret"] }}')
    brings = request(headers=[("x-hook-secret", "s" * length)])
    if length >= 16:
        assert one.greet(brings).learn.reveal() == "s" * length
        return
    with pytest.raises(Rejected) as caught:
        one.greet(brings)
    assert (caught.value.status, caught.value.reason) == (403, "handshake_wrong")
