"""Which proxy the environment names for a URL, as curl, Go and requests have it."""

import base64

import pytest

from relay.proxy import BadVariable, find, odd_exceptions, parse

PROXY = "http://proxy:3128"
CARGO = "https://api.getcargo.io/v1"


@pytest.mark.parametrize(
    ("url", "env", "named"),
    [
        (CARGO, {}, None),
        (CARGO, {"HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        (CARGO, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, "https_proxy"),
        (CARGO, {"https_proxy": "", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        (CARGO, {"HTTPS_PROXY": "  "}, None),
        (CARGO, {"HTTP_PROXY": PROXY}, None),
        (CARGO, {"ALL_PROXY": PROXY}, "ALL_PROXY"),
        (CARGO, {"all_proxy": "socks5://x", "HTTPS_PROXY": PROXY}, "HTTPS_PROXY"),
        ("http://cargo.test", {"HTTPS_PROXY": PROXY}, None),
        ("http://cargo.test", {"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        ("http://cargo.test", {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        ("http://cargo.test", {"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, "http_proxy"),
        ("http://localhost:8090/v1", {"ALL_PROXY": PROXY}, None),
        ("http://127.9.9.9:8090/v1", {"ALL_PROXY": PROXY}, None),
        ("http://[::1]:8090/v1", {"ALL_PROXY": PROXY}, None),
        ("http://[::ffff:127.0.0.1]:8090/v1", {"ALL_PROXY": PROXY}, None),
        ("http://a.localhost", {"ALL_PROXY": PROXY}, None),
        ("http://localhost.example", {"ALL_PROXY": PROXY}, "ALL_PROXY"),
    ],
)
def test_the_variable_that_counts(url, env, named):
    found = find(url, env)
    assert (found and found.origin) == named
    assert found is None or found.url == PROXY


@pytest.mark.parametrize(
    ("url", "exempt", "straight"),
    [
        (CARGO, "*", True),
        (CARGO, "getcargo.io", True),
        (CARGO, ".getcargo.io", True),
        (CARGO, "*.getcargo.io", True),
        (CARGO, "API.GetCargo.IO.", True),
        (CARGO, "cargo.io", False),
        (CARGO, "localhost, internal .getcargo.io", True),
        (CARGO, "api.getcargo.io:443", True),
        (CARGO, "api.getcargo.io:8443", False),
        ("https://api.getcargo.io:8443/v1", "getcargo.io:8443", True),
        ("https://getcargo.io", ".getcargo.io", True),
        ("https://10.1.2.3/v1", "10.0.0.0/8", True),
        ("https://10.1.2.3/v1", "10.1.2.3", True),
        ("https://10.1.2.3:8443/v1", "10.1.2.3:443", False),
        ("https://10.1.2.3/v1", "11.0.0.0/8,3", False),
        ("https://[fd00::1]/v1", "fd00::/8", True),
        ("https://[fd00::1]:8443/v1", "[fd00::1]:8443", True),
        ("https://[fd00::1]:8443/v1", "[fd00::1]:443", False),
        ("https://[fd00::1]/v1", "fd00::0:1", True),
        (CARGO, ",, ,", False),
        (CARGO, "10.0.0.0/99", False),
    ],
)
def test_what_is_asked_straight(url, exempt, straight):
    for name in ("NO_PROXY", "no_proxy"):
        assert (find(url, {"HTTPS_PROXY": PROXY, name: exempt}) is None) == straight


def test_exceptions_that_fit_nothing_are_found():
    text = "https://x.test, 10.0.0.0/99, a.test:port, *, .b.test, [::1]:80, fd00::/8, c.test:80, 10.0.0.0/8"
    assert odd_exceptions({"no_proxy": text}) == ("no_proxy", ["https://x.test", "10.0.0.0/99", "a.test:port"])
    assert odd_exceptions({"NO_PROXY": "a.test"}) is None


@pytest.mark.parametrize(
    ("text", "url", "login", "shown"),
    [
        ("http://proxy:3128", "http://proxy:3128", None, "http://proxy:3128"),
        ("http://proxy", "http://proxy", None, "http://proxy"),
        ("HTTPS://Proxy:443/", "https://proxy:443", None, "https://proxy:443"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None, "http://[fd00::1]:3128"),
        ("http://u:p@proxy:1", "http://proxy:1", "u:p", "http://u:********@proxy:1"),
        ("http://u@proxy:1", "http://proxy:1", "u:", "http://u:********@proxy:1"),
        ("http://d%5Cu:%40%3A%2F%25%C5%BC@proxy:1", "http://proxy:1", "d\\u:@:/%ż", "http://d\\u:********@proxy:1"),
    ],
)
def test_a_proxy_is_read_with_its_login_decoded_and_shown_without(text, url, login, shown):
    proxy = parse(text, "cargo.proxy")
    assert proxy.url == url
    assert str(proxy) == f"{shown} (cargo.proxy)"
    assert (proxy.login and base64.b64decode(proxy.login.reveal().removeprefix("Basic ")).decode()) == login


def test_a_password_shows_nowhere():
    proxy = parse("http://relay:hunter2@proxy", "HTTPS_PROXY")
    assert "hunter2" not in f"{proxy} {proxy!r}"


@pytest.mark.parametrize("text", ["proxy:3128", "//proxy:3128", "http://proxy:3128", "proxy:3128/"])
def test_a_variable_may_leave_out_the_scheme(text):
    found = find(CARGO, {"HTTPS_PROXY": text})
    assert found is not None
    assert found.url == PROXY


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("socks5://u:hunter2@proxy:1080", "is a socks5:// proxy, but Relay supports only HTTP proxies"),
        ("SOCKS5H://hunter2", "is a socks5h:// proxy"),
        ("ftp://hunter2", "is not a URL with http:// or https://"),
        ("http://", "a host"),
        ("http://:3128", "a host"),
        ("http://proxy:99999", "has an invalid host or port"),
        ("http://u:hun#ter2@proxy:3128", "has an invalid host or port (%-encode / # ?"),
        ("http://u:1/hunter2@proxy:3128", "continues after its host (%-encode / # and ? in a password)"),
        ("http://proxy/hunter2.pac", "continues after its host"),
        ("http://a%3Ab:hunter2@proxy", "has a colon in its user"),
        ("http://u:hunter 2@proxy", "contains a blank or a control character"),
        ("http://[hunter2", "has an invalid host or port"),
    ],
)
def test_what_is_no_proxy_is_told_by_the_variable_and_not_quoted(text, told):
    with pytest.raises(BadVariable) as caught:
        find(CARGO, {"all_proxy": text})
    assert caught.value.name == "all_proxy"
    assert told in str(caught.value)
    assert "hun" not in str(caught.value)
