"""The way to Cargo that a configuration and its environment make together."""

import pytest

from relay.config import load
from relay.errors import Misconfigured
from relay.secret import Secret

PROXY = "http://relay:hunter2@proxy:3128"
SHOWN = "http://relay:********@proxy:3128"
SOCKS = "is a socks5:// proxy, but Relay supports only HTTP proxies: write for example http://user:password@proxy:3128"
CHAT = "{agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}"


@pytest.fixture
def make(tmp_path):
    """Loads a configuration whose block cargo has these keys too."""

    def make(cargo, env, *, strict=True):
        path = tmp_path / "relay.yaml"
        path.write_text(
            f"cargo: {{token: t{cargo}}}\n"
            "sources: {a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}\n"
            f"rules: [{{name: one, source: a, chat: {CHAT}}}]\n"
        )
        return load([path], env, strict=strict)

    return make


@pytest.mark.parametrize(
    ("cargo", "env", "shown"),
    [
        ("", {}, "None"),
        ("", {"HTTPS_PROXY": PROXY}, f"{SHOWN} (HTTPS_PROXY)"),
        ("", {"HTTPS_PROXY": PROXY, "NO_PROXY": "getcargo.io"}, "None"),
        (", base_url: http://127.0.0.1:8090/v1", {"HTTP_PROXY": PROXY}, "None"),
        (", proxy: 'https://own:1'", {"HTTPS_PROXY": PROXY}, "https://own:1 (cargo.proxy)"),
        (", proxy: 'https://own:1'", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}, "https://own:1 (cargo.proxy)"),
        (", proxy: none", {"HTTPS_PROXY": PROXY}, "None"),
        (", proxy: None", {"HTTPS_PROXY": PROXY}, "None"),
        (", proxy: '${P:-none}'", {"HTTPS_PROXY": PROXY}, "None"),
        (", proxy: null", {"HTTPS_PROXY": PROXY}, f"{SHOWN} (HTTPS_PROXY)"),
        (", proxy: '${P}'", {"P": PROXY}, f"{SHOWN} (cargo.proxy)"),
    ],
)
def test_the_proxy_is_the_configuration_s_or_else_the_environment_s(make, cargo, env, shown):
    loaded = make(cargo, env)
    assert str(loaded.proxy) == shown
    assert loaded.warnings == ()


def test_plain_http_goes_by_the_proxy_that_the_environment_has_for_it(make):
    loaded = make(", base_url: http://cargo.test/v1, insecure: true", {"HTTP_PROXY": PROXY})
    assert str(loaded.proxy) == f"{SHOWN} (HTTP_PROXY)"
    [told] = loaded.warnings
    assert "which cargo.insecure allows" in told


def test_what_a_configuration_shows_of_its_proxy(make):
    assert make(", proxy: none", {}).settings.redacted()["cargo"]["proxy"] == "none"
    loaded = make(f", proxy: '{PROXY}'", {})
    assert loaded.settings.redacted()["cargo"]["proxy"] == "********"
    assert loaded.settings.cargo.proxy == Secret(PROXY)


@pytest.mark.parametrize(
    ("cargo", "env", "told"),
    [
        (
            "",
            {"ALL_PROXY": "socks5://u:hunter2@x"},
            f"environment: ALL_PROXY: {SOCKS}; or set cargo.proxy, where none means no proxy",
        ),
        ("", {"https_proxy": "http://u:hun#ter2@x"}, "environment: https_proxy: has an invalid host or port"),
        (
            ", base_url: http://cargo.test, insecure: true",
            {"HTTP_PROXY": "x:port"},
            "environment: HTTP_PROXY: has an invalid host or port",
        ),
    ],
)
def test_a_variable_that_is_bad_is_a_fault_by_its_name(make, cargo, env, told):
    for strict in (True, False):
        with pytest.raises(Misconfigured) as caught:
            make(cargo, env, strict=strict)
        [fault] = caught.value.faults
        assert fault.startswith(told)
        assert "hun" not in fault


def test_a_variable_that_does_not_count_is_no_fault_and_one_that_only_vendors_meet_a_warning(make):
    assert make("", {"HTTP_PROXY": "socks5://x"}).warnings == ()
    loaded = make(", proxy: none", {"ALL_PROXY": "socks5://x"})
    told = f"environment: ALL_PROXY: {SOCKS}; until then vendors' certificates cannot be fetched"
    assert loaded.warnings == (told,)
    loaded = make("", {"HTTPS_PROXY": PROXY, "NO_PROXY": "a.test, http://b.test"})
    told = "environment: NO_PROXY: 'http://b.test' cannot match a host: write names, .suffixes, addresses or networks"
    assert loaded.warnings == (told,)


def test_faults_of_the_file_and_of_the_environment_are_told_together(make):
    with pytest.raises(Misconfigured) as caught:
        make(", timeout: soon", {"HTTPS_PROXY": "socks5://x"})
    assert [fault.rpartition("relay.yaml:")[2][:20] for fault in caught.value.faults] == [
        "1:28: cargo.timeout:",
        "environment: HTTPS_P",
    ]


def test_what_is_not_known_yet_is_left_alone(make):
    loaded = make(", base_url: '${CARGO_URL}'", {"HTTPS_PROXY": "socks5://x"}, strict=False)
    assert loaded.proxy is None
    assert len(loaded.warnings) == 1
