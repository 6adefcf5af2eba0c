"""RabbitMQ's URLs: what they say of nodes, users and virtual hosts, and every parameter that clients know in them.

A parameter is taken, refused or told to have no effect: none is dropped in silence, as some weaken a connection. No
message quotes a URL: it may hold a password.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from relay.config.draft import Draft
from relay.config.fault import near
from relay.config.wire import over

_VERIFIES: Final = "Relay always verifies RabbitMQ's certificate: leave it out; broker.ca_file names an authority"
_AUTHORITY: Final = "write broker.ca_file instead, a file of certificate authorities in PEM"
_OFFERED: Final = "has no effect: Relay takes what RabbitMQ offers; leave it out"
_OURS: Final = "has no effect: it is Relay's own matter; leave it out"
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
    "server_name_indication": "Relay checks the certificate for the host in the URL: write the name there",
    "depth": "Relay takes chains as long as OpenSSL does: leave it out",
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
_TAKEN: Final = ("heartbeat", "connection_timeout", "verify", "fail_if_no_peer_cert", "auth_mechanism")
_WORD: Final = re.compile(r"[A-Za-z_][\w-]{0,40}")
_NUMBERS: Final = {"heartbeat": (1, 65_534, "seconds"), "connection_timeout": (1, 3_600_000, "milliseconds")}


def check_broker_urls(draft: Draft) -> None:
    """What a URL says that cannot be had, contradicts another key, or would be taken for something else."""
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
        yield "holds a #, which ends a URL: write %23 in a user, a password or a virtual host", False
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in pairs:
        if not _WORD.fullmatch(name):
            yield "holds a ? that begins no parameter: write %3F in a user, a password or a virtual host", False
        elif told := _judge_parameter(name.lower(), value):
            yield f"`{name}`: {told[0]}", told[1]
    named = [name for name, _ in pairs]
    for name in sorted({name for name in named if named.count(name) > 1 and name in _TAKEN}):
        yield f"`{name}` is given twice: keep one", False
    yield from _judge_login(dict(pairs).get("auth_mechanism", "").lower(), bool(parts.username), certificate)


def _judge_path(path: str) -> Iterator[tuple[str, bool]]:
    """https://www.rabbitmq.com/docs/uri-spec: one segment, in which a / is %2F; an empty one is a name like others."""
    vhost = path[1:]
    if path == "/":
        told = "which by the specification of these URLs is the virtual host without a name, and to most clients /"
        yield f"ends in a slash, {told}: Relay takes it as /; leave it away, or write /%2F", True
    elif "/" in vhost:
        read = "/" if vhost == "/" else "one name"
        yield f"has a / inside its virtual host, which is read as {read}: write it as %2F", True
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
        least, most, unit = _NUMBERS[name]
        right = value.isascii() and value.isdigit() and least <= int(value[:9]) <= most and len(value) < 9
        return None if right else (f"is not from {least} to {most} {unit}: write such a number", False)
    if name == "verify":
        return None if value == "verify_peer" else (_VERIFIES, False)
    if name == "fail_if_no_peer_cert":
        return None if value == "true" else (_VERIFIES, False)
    if name == "auth_mechanism":
        known = value.lower() in {"plain", "external"}
        return None if known else ("Relay logs in by plain or external: write one of these, or leave it out", False)
    return f"is not a parameter that Relay knows, and has no effect ({near(name, _TAKEN)}): leave it out", True


def _judge_login(mechanism: str, user: bool, certificate: bool) -> Iterator[tuple[str, bool]]:
    if mechanism == "external" and not certificate:
        yield "`auth_mechanism=external` takes a client certificate: give broker.cert_file and broker.key_file", False
    elif mechanism == "external" and user:
        yield "`auth_mechanism=external` takes no user, the certificate names it: leave the user out", False
    elif mechanism == "plain" and certificate and not user:
        yield "`auth_mechanism=plain` takes a user: write it before the host, or leave the parameter out", False


def _compare(url: str, others: tuple[str, ...]) -> Iterator[str]:
    first = urlsplit(url)
    for other in others:
        if other == url:
            continue
        parts = urlsplit(other)
        if parts.scheme != first.scheme:
            yield f"{parts.hostname} is {parts.scheme}:// and {first.hostname} {first.scheme}://: use one for all nodes"
        if parts.username is not None and parts.username != first.username:
            yield f"{parts.hostname} has another user than {first.hostname}: all nodes are logged in to as one"
        if parts.path not in {"", first.path}:
            yield f"{parts.hostname} has another virtual host than {first.hostname}: all nodes have that of the first"
        if parts.query or parts.fragment:
            yield f"{parts.hostname} has parameters: write them into the first URL, they count for all nodes"
