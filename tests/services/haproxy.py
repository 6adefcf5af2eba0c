"""HAProxy for tests: private, before several relays, as a cluster's balancer is."""

import csv
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.services.process import Process, Unavailable, find_port, wait_until

MISSING = "These tests need HAProxy: run `apt-get install haproxy` (it is started privately)."
# Readiness is asked for twice a second, so that a server is left out within the linger of a test. A busy machine may
# answer late: that is not yet a server that is down.
CONFIG = """
defaults
  mode {mode}
  timeout connect 2s
  timeout check 3s
  timeout client 60s
  timeout server 60s
  option redispatch 1
  retries 3
frontend stats
  mode http
  bind 127.0.0.1:{stats}
  stats enable
  stats uri /
frontend hooks
  bind 127.0.0.1:{port}
  default_backend relays
backend relays
  balance roundrobin
  option httpchk GET /readyz
{servers}
"""
SERVER = "  server {name} 127.0.0.1:{hooks} check port {health} inter 500ms fall 2 rise 1"


@dataclass(frozen=True)
class Balancer:
    """Where it is asked, and what it knows of its servers."""

    url: str
    stats: str

    def is_up(self, name: str) -> bool:
        """Whether it sends requests to the relay of this name."""
        with urlopen(f"{self.stats}/;csv", timeout=5) as answer:
            rows = csv.DictReader(answer.read().decode().lstrip("# ").splitlines())
            return any(row["svname"] == name and row["status"] == "UP" for row in rows)


@contextmanager
def balancing(folder: Path, mode: str, ports: Mapping[str, Mapping[str, int]]) -> Iterator[Balancer]:
    """A balancer in `mode` `tcp` or `http`; `ports` are those of each relay's listeners, by its name."""
    program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    if program is None:
        raise Unavailable(MISSING)
    port, stats = find_port(), find_port()
    servers = "\n".join(SERVER.format(name=name, **of) for name, of in ports.items())
    config = folder / "haproxy.cfg"
    config.write_text(CONFIG.format(mode=mode, port=port, stats=stats, servers=servers))
    server = Process([program, "-f", str(config)], log=folder / "haproxy.log")
    try:
        wait_until(lambda: is_open(port), seconds=10, alive=server.alive, describe=server.describe)
        yield Balancer(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{stats}")
    finally:
        server.kill()


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
