"""The URLs of RabbitMQ: nodes, users, virtual hosts, and all parameters that other clients accept in them.

A parameter is used, refused, or reported to have no effect. None is ignored silently, because some of them would weaken
a connection. No message quotes a URL, because it may contain a password.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from relay.config.draft import Draft
from relay.config.fault import near
from relay.config.wire import over

_VERIFIES: Final = "Relay always verifies RabbitMQ's certificate: leave it out; broker.ca_file adds an authority"
_AUTHORITY: Final = "write broker.ca_file instead, a file of certificate authorities in PEM"
_OFFERED: Final = "has no effect: Relay accepts what RabbitMQ offers; leave it out"
_OURS: Final = "has no effect: Relay sets this itself; leave it out"
_IDENTITY: Final = {
    "certfile": "write broker.cert_file instead",
    "keyfile": "write broker.key_file instead",
    "cert": "write broker.cert_file instead",
    "key": "write broker.key_file instead",
    "password": "a user's password goes into broker.password; for a key with a passphrase, decrypt the key",
    "username": "the user goes before the host, amqps://user@host",
}
_REFUSED: Final[Mapping[str, str]] = {
    **_IDENTITY,
    **dict.fromkeys(("cacertfile", "cafile", "ca_certs", "capath", "cadata", "cacerts"), _AUTHORITY),
    **dict.fromkeys(
        ("no_verify_ssl", "verify_ssl", "ssl_verify", "ssl_options", "ssl_context", "cert_reqs"), _VERIFIES
    ),
    **dict.fromkeys(("ssl_cert_reqs", "verify_hostname", "check_hostname", "insecure"), _VERIFIES),
    **dict.fromkeys(("ssl", "tls", "secure"), "write amqps:// for TLS, amqp:// without"),
    "auth": "write auth_mechanism=external or plain; or leave it out: a certificate without a user is EXTERNAL",
    "login_method": "write auth_mechanism=external or plain",
    "server_name_indication": "Relay verifies the certificate against the host in the URL: write the name there",
    "depth": "Relay accepts chains as long as OpenSSL does: leave it out",
    "vhost": "write the virtual host after the host, amqp://host/vhost",
    "virtual_host": "write the virtual host after the host, amqp://host/vhost",
    "port": "write the port after the host, amqp://host:5672",
}
_NO_EFFECT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("channel_max", "frame_max"), _OFFERED),
    **dict.fromkeys(("name", "connection_name", "product", "locale", "retry_delay", "connection_attempts"), _OURS),
    **dict.fromkeys(("timeout", "socket_timeout", "blocked_connection_timeout", "stack_timeout", "reconnect"), _OURS),
    **dict.fromkeys(("interleave", "happy_eyeballs_delay", "tcp_options"), _OURS),
}
_SUPPORTED: Final = ("heartbeat", "connection_timeout", "verify", "fail_if_no_peer_cert", "auth_mechanism")
_WORD: Final = re.compile(r"[A-Za-z_][\w-]{0,40}")
_NUMBERS: Final = {"heartbeat": (1, 65_534, "seconds"), "connection_timeout": (1, 3_600_000, "milliseconds")}


def check_broker_urls(draft: Draft) -> None:
    """Add the faults of the broker's URLs: parameters that Relay cannot obey, contradictions and ambiguities."""
    block = draft.blocks.get("broker")
    if block is None:
        return
    if draft.whole("broker", "url") and not draft.opaque("broker", "url"):
        for message, warn in _judge(block.url, certificate=block.cert_file is not None):
            draft.fault(("broker", "url"), message, warn=warn)
    if block.urls and draft.whole("broker", "url") and draft.whole("broker", "urls"):
        for message in _compare(block.url, block.urls) if not draft.opaque("broker") else ():
            draft.fault(("broker", "urls"), message)


def _judge(url: str, *, certificate: bool) -> Iterator[tuple[str, bool]]:
    """The faults of a URL, and whether each is a warning."""
    parts = urlsplit(url)
    yield from _judge_path(parts.path)
    if parts.fragment:
        yield "contains a #, which ends a URL: write %23 in a user, a password or a virtual host", False
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in pairs:
        if not _WORD.fullmatch(name):
            yield (
                "contains a ? that does not start a parameter: write %3F in a user, a password or a virtual host",
                False,
            )
        elif fault := _judge_parameter(name.lower(), value):
            yield f"`{name}`: {fault[0]}", fault[1]
    names = [name for name, _ in pairs]
    for name in sorted({name for name in names if names.count(name) > 1 and name in _SUPPORTED}):
        yield f"`{name}` is given twice: keep one", False
    yield from _judge_login(dict(pairs).get("auth_mechanism", "").lower(), bool(parts.username), certificate)


def _judge_path(path: str) -> Iterator[tuple[str, bool]]:
    """The virtual host (https://www.rabbitmq.com/docs/uri-spec): one segment with / as %2F; it may be empty."""
    vhost = path[1:]
    if path == "/":
        meaning = "which means the virtual host with the empty name by the specification, but / to most clients"
        yield f"ends in a slash, {meaning}: Relay reads it as /; leave the slash out, or write /%2F", True
    elif "/" in vhost:
        reading = "/" if vhost == "/" else "one name"
        yield f"has a / inside its virtual host, which is read as {reading}: write it as %2F", True
    if size := over(unquote(vhost)):
        yield f"names a virtual host that {size}", False
    if "%2f" in unquote(vhost).lower():
        yield "names a virtual host with %2F in its name, which the client library cannot tell from /", False


def _judge_parameter(name: str, value: str) -> tuple[str, bool] | None:
    if name in _REFUSED:
        return _REFUSED[name], False
    if name in _NO_EFFECT:
        return _NO_EFFECT[name], True
    if name in _NUMBERS:
        lowest, highest, unit = _NUMBERS[name]
        is_valid = value.isascii() and value.isdigit() and lowest <= int(value[:9]) <= highest and len(value) < 9
        return (
            None if is_valid else (f"must be a number from {lowest} to {highest} ({unit}): write such a number", False)
        )
    if name == "verify":
        return None if value == "verify_peer" else (_VERIFIES, False)
    if name == "fail_if_no_peer_cert":
        return None if value == "true" else (_VERIFIES, False)
    if name == "auth_mechanism":
        if value.lower() in {"plain", "external"}:
            return None
        return "Relay supports plain and external: write one of these, or leave it out", False
    return f"is not a parameter that Relay knows, and has no effect ({near(name, _SUPPORTED)}): leave it out", True


def _judge_login(mechanism: str, user: bool, certificate: bool) -> Iterator[tuple[str, bool]]:
    if mechanism == "external" and not certificate:
        yield "`auth_mechanism=external` needs a client certificate: set broker.cert_file and broker.key_file", False
    elif mechanism == "external" and user:
        yield "`auth_mechanism=external` uses the name in the certificate: leave the user out", False
    elif mechanism == "plain" and certificate and not user:
        yield "`auth_mechanism=plain` needs a user: write it before the host, or leave the parameter out", False


def _compare(url: str, others: tuple[str, ...]) -> Iterator[str]:
    first = urlsplit(url)
    for other in others:
        if other == url:
            continue
        parts = urlsplit(other)
        if parts.scheme != first.scheme:
            yield f"{parts.hostname} has {parts.scheme}:// and {first.hostname} {first.scheme}://: use one for all"
        if parts.username is not None and parts.username != first.username:
            yield f"{parts.hostname} has another user than {first.hostname}: use one user for all nodes"
        if parts.path not in {"", first.path}:
            yield f"{parts.hostname} has another virtual host than {first.hostname}: use one for all nodes"
        if parts.query or parts.fragment:
            yield f"{parts.hostname} has parameters: write them into the first URL, they apply to all nodes"
