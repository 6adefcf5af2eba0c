"""RabbitMQ for tests: a private node, or the ready one that RELAY_TEST_AMQP names; a virtual host per test."""

import base64
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

from tests.services.authority import Identity
from tests.services.process import Process, Unavailable, find_port, wait_until

MISSING = (
    "These tests need RabbitMQ: run `apt-get install rabbitmq-server` (it is started privately, the system's own is"
    " left alone), or set RELAY_TEST_AMQP=amqp://user:password@host:5672 to a ready one whose management plugin is on"
    " (RELAY_TEST_AMQP_API=http://user:password@host:15672 when it is elsewhere)."
)
# The wrapper in /usr/sbin insists on the system's user and folders; what it wraps does not.
FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class Broker:
    """A broker that runs already: `url` of its AMQP port without virtual host, `api` of its management plugin."""

    def __init__(self, url: str, api: str) -> None:
        self.url = url.rstrip("/")
        self.api = api
        parts = urlsplit(api)
        self._api = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "/api", "", ""))
        user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """The AMQP URL of a fresh virtual host, deleted with all that is in it at the end."""
        name = f"test-{uuid4().hex[:12]}"
        self.call("PUT", f"/vhosts/{name}")
        try:
            yield f"{self.url}/{name}"
        finally:
            self.call("DELETE", f"/vhosts/{name}")

    def call(self, method: str, path: str, body: bytes = b"") -> bytes:
        """One call of the management API. Raises Unavailable when it refuses or is not there."""
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(self._api + path, body or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:  # it is an answer, too, whose connection is open
                said = error.read(300).decode(errors="replace")
            raise Unavailable(f"{method} {self._api}{path}: {error}: {said}. {MISSING}") from error
        except OSError as error:
            raise Unavailable(f"{method} {self._api}{path}: {error}. {MISSING}") from error


class Node(Broker):
    """A private node in a folder of its own, with a port mapper of its own; it can be killed and started again.

    With an `identity` it takes TLS on a port of its own, `tls_port`, and clients of the same authority by their
    certificates' common name. With a `company` it has a place in a cluster, and is not started yet: nodes of a cluster
    that come for the first time wait for each other.
    """

    def __init__(self, identity: Identity | None = None, company: "Company | None" = None) -> None:
        self._bin = _find_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="relay-rabbitmq-"))
        port, api = (company.ports[company.place] if company else find_port()), find_port()
        epmd = company.mapper if company else find_port()
        self._company = company
        self.name = name_of(port)
        super().__init__(f"amqp://guest:guest@127.0.0.1:{port}", f"http://guest:guest@127.0.0.1:{api}")
        self.tls_port = None if identity is None else find_port()
        self._env = self._configure(port, api, epmd, identity)
        self._epmd = None if company else start_mapper(epmd, self._folder)
        self._server: Process | None = None
        try:
            if company is None:
                self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it (again), with what it kept; returns when it takes connections. 5 to 10 seconds."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start it without waiting for it."""
        self._server = Process([str(self._bin / "rabbitmq-server")], log=self._folder / "node.log", env=self._env)

    def await_ready(self) -> None:
        """Return when it takes connections. Raises Unavailable with its log when it does not."""
        assert self._server is not None
        wait_until(self._ready, seconds=90, alive=self._server.alive, describe=self._server.describe)

    def stop(self) -> None:
        """An orderly end, as for an update: clients are told."""
        if self._server:
            self._server.stop(seconds=60)

    def kill(self) -> None:
        """SIGKILL: nothing is told to anybody."""
        if self._server:
            self._server.kill()

    def freeze(self) -> None:
        """The node stands still with its connections open, as behind a lost network."""
        if self._server:
            self._server.send(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._server:
            self._server.send(signal.SIGCONT)

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl ARGS` prints; about a second. Raises CalledProcessError."""
        command = [str(self._bin / "rabbitmqctl"), "--quiet", *args]
        return subprocess.run(command, env=self._env, check=True, capture_output=True, text=True, timeout=60).stdout

    def close(self) -> None:
        """End it and forget everything."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ready(self) -> bool:
        try:
            for port in filter(None, (urlsplit(self.url).port, self.tls_port)):
                self.call("GET", f"/health/checks/port-listener/{port}")
        except Unavailable:
            return False
        return True

    def _configure(self, port: int, api: int, epmd: int, identity: Identity | None) -> Mapping[str, str]:
        folder = self._folder
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {api}\n"
            "disk_free_limit.absolute = 50MB\nlog.console = true\nlog.console.level = warning\nlog.file = false\n"
            f"{self._adopt(identity) if identity else ''}{self._company.lines() if self._company else ''}"
        )
        if self._company is not None:
            cookie = folder / ".erlang.cookie"
            cookie.write_text(self._company.cookie)
            cookie.chmod(0o400)
        (folder / "plugins").write_text("[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RUNNING_UNDER_SYSTEMD": "1",  # one process, no shell in front of it that a signal would meet first
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_DIST_PORT": str(find_port()),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _adopt(self, identity: Identity) -> str:
        """The lines of the configuration for TLS."""
        certificate, key = self._folder / "server.pem", self._folder / "server.key"
        identity.write(certificate, key)
        lines = [
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            "ssl_options.verify = verify_peer",
            "ssl_options.fail_if_no_peer_cert = false",
            "ssl_cert_login_from = common_name",
            "auth_mechanisms.1 = EXTERNAL",
            "auth_mechanisms.2 = PLAIN",
            f"ssl_options.cacertfile = {certificate}",
            f"ssl_options.certfile = {certificate}",
            f"ssl_options.keyfile = {key}",
        ]
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Company:
    """The nodes of a cluster by their AMQP ports, and which of them this is; their port mapper and common secret."""

    ports: tuple[int, ...]
    place: int
    mapper: int
    cookie: str

    def lines(self) -> str:
        """The lines of a node's configuration."""
        nodes = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name_of(port)}\n"
            for number, port in enumerate(self.ports, 1)
        )
        return f"cluster_formation.peer_discovery_backend = classic_config\n{nodes}"


def name_of(port: int) -> str:
    """The name of the node with this AMQP port."""
    return f"relay-{port}@localhost"


def start_mapper(port: int, folder: Path) -> Process:
    """Erlang's port mapper. Left to itself, Erlang starts one that outlives everybody."""
    mapper = shutil.which("epmd") or "epmd"
    return Process([mapper, "-port", str(port), "-address", "127.0.0.1"], log=folder / "epmd.log")


@contextmanager
def run_rabbitmq() -> Iterator[Broker]:
    """The ready broker of RELAY_TEST_AMQP, or a private node for as long as the block lasts."""
    ready = os.environ.get("RELAY_TEST_AMQP")
    if ready:
        parts = urlsplit(ready)
        login = parts.netloc.rpartition("@")[0] or "guest:guest"
        api = os.environ.get("RELAY_TEST_AMQP_API") or f"http://{login}@{parts.hostname}:15672"
        broker = Broker(urlunsplit((parts.scheme, parts.netloc, "", "", "")), api)
        broker.call("GET", "/overview")
        yield broker
        return
    with run_node() as node:
        yield node


@contextmanager
def run_node(identity: Identity | None = None) -> Iterator[Node]:
    node = Node(identity)
    try:
        yield node
    finally:
        node.close()


def _find_programs() -> Path:
    for folder in map(Path, FOLDERS):
        if (folder / "rabbitmq-server").exists():
            return folder
    raise Unavailable(MISSING)
