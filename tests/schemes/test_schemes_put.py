"""Writing where a phrase reads, and a URL under its other ways to write it."""

import json

import pytest

from relay.schemes import Headers, Request
from relay.schemes.phrase import Scope, place
from relay.schemes.ports import twins
from relay.schemes.put import put, set_at, with_header


def request(url="https://us/hooks/a", body=b"{}", headers=()):
    return Request("POST", url, Headers(headers), body, 0)


@pytest.mark.parametrize(
    "text", ['{{ headers["X-Id"] }}', "{{ query['t&x'] }}", '{{query["t"]}}', "{{ data.a.b-c.d }}"]
)
@pytest.mark.parametrize("url", ["https://us/hooks/a", "https://us/hooks/a?x=1"])
@pytest.mark.parametrize("value", ["abc", "a b&c=d+e%2F/ü"])
def test_what_is_put_is_found_there(text, url, value):
    made = put(request(url, b'{"a": {"x": 1}}'), text, value)
    assert place(text)(Scope(made)) == value
    assert made.url.startswith(url)


def test_a_body_keeps_what_else_it_says():
    made = put(request(body='{"a": {"x": "ü"}, "b": 1}'.encode()), "{{ data.a.y }}", "z")
    assert json.loads(made.body) == {"a": {"x": "ü", "y": "z"}, "b": 1}
    assert json.loads(put(request(body=b""), "{{ data.a }}", "z").body) == {"a": "z"}


def test_a_header_is_replaced_whatever_its_case_and_the_request_stays_as_it_was():
    first = request(headers=[("X-A", "1"), ("X-A", "2"), ("X-B", "3")])
    assert with_header(first, "x-a", "9").headers.flat() == [("x-b", "3"), ("x-a", "9")]
    assert first.headers.flat() == [("x-a", "1"), ("x-a", "2"), ("x-b", "3")]


@pytest.mark.parametrize("text", ["{{ body }}", "x{{ data.a }}", "{{ url }}", "{{ data.a | lower }}", "plain"])
def test_nothing_is_put_where_nothing_stands_alone(text):
    with pytest.raises(ValueError, match="nothing can be put"):
        put(request(), text, "x")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b'{"a": 1}', b"no json", b"a=1"])
def test_a_body_of_another_form_is_a_fault_with_a_message(body):
    with pytest.raises(ValueError, match=r"\w"):
        put(request(body=body), "{{ data.a.b }}", "x")


@pytest.mark.parametrize(
    ("data", "path", "then"),
    [
        ({}, "a.b", {"a": {"b": "x"}}),
        ({"a": [{}, {"b": 1}]}, "a.*.b", {"a": [{"b": "x"}, {"b": "x"}]}),
        ([{}], "*.b", [{"b": "x"}]),
        ({"a": []}, "a.*.b", {"a": []}),
    ],
)
def test_a_value_is_set_in_a_tree(data, path, then):
    set_at(data, path.split("."), "x")
    assert data == then


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://us/a", "https://us:443/a"),
        ("https://us:443/a?b=1:2", "https://us/a?b=1:2"),
        ("http://us/a", "http://us:80/a"),
        ("http://us:80", "http://us"),
        ("https://user:pw@us/a", "https://user:pw@us:443/a"),
        ("https://user:pw@us:443/a", "https://user:pw@us/a"),
        ("https://[::1]/a", "https://[::1]:443/a"),
        ("https://[::1]:443/a", "https://[::1]/a"),
        ("https://us:8443/a", "https://us/a"),
        ("http://us:443/a", "http://us/a"),
        ("https://us:80/a", "https://us/a"),
        ("https://user:pw@[::1]:8443/a?b=c:1", "https://user:pw@[::1]/a?b=c:1"),
        ("ftp://us/a", None),
        ("/a", None),
        ("", None),
    ],
)
def test_a_url_has_one_twin_with_or_without_its_port(url, other):
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security: the port may be signed or left out."""
    assert [twin.url for twin in twins(request(url))] == ([other] if other else [])
