"""What an operator writes as the address of a listener, and the sockets that come of it."""

import errno
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from relay import listener
from relay.listener import Listener, read

_OFF = """
import ctypes, fcntl, os, socket, struct, sys
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
    sys.exit(77)
with socket.socket() as sock:
    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
try:
    with open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w") as switch:
        switch.write("1")
except FileNotFoundError:
    pass  # it was never on
except OSError:
    sys.exit(77)
from relay.listener import read
for text in (":0", "[::]:0", "localhost:0"):
    sockets = read(text).open()
    port = sockets[0].getsockname()[1]
    socket.create_connection(("127.0.0.1", port), 5).close()
    print(text, [sock.getsockname()[0] for sock in sockets])
try:
    read("[::1]:0").open()
except OSError as error:
    print(error.filename, error.strerror)
"""


def ipv6():
    """Whether this machine has it."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@contextmanager
def opened(text):
    sockets = read(text).open()
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize(
    ("text", "addresses", "shown", "url", "loopback"),
    [
        (":80", ("0.0.0.0", "::"), ":80", "http://127.0.0.1:80", False),
        ("*:80", ("0.0.0.0", "::"), ":80", "http://127.0.0.1:80", False),
        ("[::]:80", ("0.0.0.0", "::"), "[::]:80", "http://127.0.0.1:80", False),
        ("[0:0::0]:80", ("0.0.0.0", "::"), "[::]:80", "http://127.0.0.1:80", False),
        ("0.0.0.0:80", ("0.0.0.0",), "0.0.0.0:80", "http://127.0.0.1:80", False),
        ("[::ffff:0.0.0.0]:80", ("0.0.0.0",), "0.0.0.0:80", "http://127.0.0.1:80", False),
        ("localhost:80", ("127.0.0.1", "::1"), "localhost:80", "http://127.0.0.1:80", True),
        ("LocalHost.:80", ("127.0.0.1", "::1"), "localhost:80", "http://127.0.0.1:80", True),
        ("127.0.0.5:80", ("127.0.0.5",), "127.0.0.5:80", "http://127.0.0.5:80", True),
        ("[::1]:80", ("::1",), "[::1]:80", "http://[::1]:80", True),
        ("[::FFFF:127.0.0.1]:80", ("127.0.0.1",), "127.0.0.1:80", "http://127.0.0.1:80", True),
        ("10.0.0.1:80", ("10.0.0.1",), "10.0.0.1:80", "http://10.0.0.1:80", False),
        ("[FD00::0001]:80", ("fd00::1",), "[fd00::1]:80", "http://[fd00::1]:80", False),
        (" Relay.internal:80 ", ("relay.internal",), "relay.internal:80", "http://relay.internal:80", False),
    ],
)
def test_what_is_written_means_these_addresses(text, addresses, shown, url, loopback):
    found = read(text)
    assert (found.addresses, str(found), found.url, found.loopback) == (addresses, shown, url, loopback)
    assert read(shown) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("8080", "write host:port"),
        ("0.0.0.0", "write host:port"),
        ("", "write host:port"),
        (":", "write host:port"),
        (":65536", "write host:port"),
        (":::8080", "write host:port"),
        ("::1:8080", "write host:port"),
        ("[::1]", "write host:port"),
        ("http://x:80", "write host:port"),
        ("a b:80", "write host:port"),
        ("[1.2.3.4]:80", "is not an IPv6 address"),
        ("[:::]:80", "is not an IPv6 address"),
        ("127.1:80", "is not an IPv4 address"),
        ("0:80", "is not an IPv4 address"),
        ("0x7f.1:80", "is not an IPv4 address"),
        ("300.0.0.1:80", "is not an IPv4 address"),
        ("1.2.3.4.5:80", "is not an IPv4 address"),
        ("a..b:80", "is not a host name"),
        ("-a:80", "is not a host name"),
        (f"{'a' * 64}:80", "is not a host name"),
        (f"{'a.' * 130}b:80", "is not a host name"),
        ("żółw.pl:80", "is not a host name"),
    ],
)
def test_what_cannot_be_listened_on_is_told(text, told):
    with pytest.raises(ValueError, match=told):
        read(text)


@pytest.mark.parametrize(
    ("one", "two", "clash"),
    [
        (":80", "127.0.0.1:80", True),
        (":80", "[::1]:80", True),
        ("[::]:80", "0.0.0.0:80", True),
        ("[::]:80", "10.0.0.1:80", True),
        ("0.0.0.0:80", "[::1]:80", False),
        ("0.0.0.0:80", "localhost:80", True),
        ("127.0.0.1:80", "[::1]:80", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("localhost:80", "127.0.0.1:80", True),
        ("localhost:80", "[::1]:80", True),
        ("localhost:80", "10.0.0.1:80", False),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", True),
        ("relay.internal:80", "Relay.Internal:80", True),
        ("relay.internal:80", ":80", True),
        ("relay.internal:80", "10.0.0.1:80", False),
        (":80", ":81", False),
        (":0", ":0", False),
    ],
)
def test_two_that_cannot_be_had_at_once(one, two, clash):
    assert read(one).clashes(read(two)) == clash
    assert read(two).clashes(read(one)) == clash


@pytest.mark.parametrize(
    ("text", "four", "six"),
    [
        (":0", "0.0.0.0", "::"),
        ("[::]:0", "0.0.0.0", "::"),
        ("localhost:0", "127.0.0.1", "::1"),
        ("0.0.0.0:0", "0.0.0.0", None),
        ("127.0.0.1:0", "127.0.0.1", None),
    ],
)
def test_each_family_that_the_machine_has_is_listened_on_at_one_port(text, four, six):
    with opened(text) as sockets:
        found = [sock.getsockname()[:2] for sock in sockets]
        port = found[0][1]
        assert found == [(address, port) for address in (four, six if ipv6() else None) if address]
        for address in [("127.0.0.1", port), *([("::1", port)] if len(found) == 2 else [])]:
            with socket.create_connection(address, 5) as client:
                accepted, peer = sockets[client.family == socket.AF_INET6].accept()
                accepted.close()
                assert peer[0] == address[0], "no IPv4 address inside an IPv6 one"


def test_ipv6_alone_leaves_ipv4_free():
    if not ipv6():
        with pytest.raises(OSError, match=r"."):
            read("[::1]:0").open()
        return
    with opened("[::1]:0") as [six], opened(f"127.0.0.1:{six.getsockname()[1]}") as [four]:
        assert four.getsockname()[1] == six.getsockname()[1]


@pytest.mark.parametrize("text", [":{}", "[::]:{}", "localhost:{}"])
def test_a_port_that_is_taken_in_one_family_is_taken(text):
    takes = ["127.0.0.1", "::1"] if ipv6() else ["127.0.0.1"]
    for address in takes:
        with opened(f"[{address}]:0" if ":" in address else f"{address}:0") as [taken]:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=r".") as caught:
                read(text.format(port)).open()
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.filename.endswith(f":{port}")
        with opened(text.format(port)):
            pass  # nothing was left open


def test_one_whose_second_family_has_the_chosen_port_taken_gets_another(monkeypatch):
    bound = []

    def bind(family, where):
        bound.append(where[1])
        if family == socket.AF_INET6 and len(bound) < 6:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return real(socket.AF_INET, ("127.0.0.1", 0)) if family == socket.AF_INET6 else real(family, where)

    real = listener._bind
    monkeypatch.setattr(listener, "_bind", bind)
    with opened("localhost:0") as sockets:
        assert len(sockets) == 2
    assert bound[0::2] == [0, 0, 0]
    assert len(set(bound[1::2])) == 3, "a new port each time"


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_system_without_ipv6_has_ipv4(monkeypatch, number):
    def bind(family, where):
        if family == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return real(family, where)

    real = listener._bind
    monkeypatch.setattr(listener, "_bind", bind)
    for text in (":0", "[::]:0", "localhost:0"):
        with opened(text) as sockets:
            assert [sock.family for sock in sockets] == [socket.AF_INET]
    with pytest.raises(OSError, match=r".") as caught:
        Listener("::1", 0).open()
    assert (caught.value.errno, caught.value.filename) == (number, "[::1]:0")


def test_where_ipv6_is_switched_off_ipv4_is_had():
    """In a network of its own, which takes root; the test before this one needs none."""
    done = subprocess.run([sys.executable, "-c", _OFF], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("this user may make no network of its own")
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    for line, text, address in zip(
        lines, (":0", "[::]:0", "localhost:0"), ("0.0.0.0", "0.0.0.0", "127.0.0.1"), strict=False
    ):
        assert line.startswith(f"{text} ['{address}'")
    assert lines[2] == "localhost:0 ['127.0.0.1']"
    assert lines[3].startswith("[::1]:0 ")


def test_a_name_that_leads_nowhere_is_an_error_of_its_own():
    with pytest.raises(socket.gaierror):
        read("nowhere.invalid:0").open()


def test_an_address_of_another_machine_is_named():
    with pytest.raises(OSError, match=r".") as caught:
        read("203.0.113.1:0").open()
    assert (caught.value.errno, caught.value.filename) == (errno.EADDRNOTAVAIL, "203.0.113.1:0")
