"""Tries the image on Docker or Podman: `make image-test`. Each line says what held; the first that does not ends it.

image_test.py IMAGE [ARGUMENT_OF_BUILD...]
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from engine import (
    end_of,
    engine,
    find_engine,
    find_port,
    get,
    hold,
    inspect,
    is_healthy,
    post,
    python,
    read_log,
    running,
    stop,
    wait,
)

ROOT = Path(__file__).parents[1]
MOST = 120_000_000
"""Bytes of the image."""
NATIVE = {"glibc", "openssl", "sqlite3", "tini", "python", "cryptography", "aiohttp"}
PROBE = ["python", "-I", "-S", "/opt/relay/probe.py"]
# How long ten health checks took of the processor, in the container itself.
COST = f"""
import resource, subprocess
for _ in range(10):
    subprocess.run({PROBE}, check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print((used.ru_utime + used.ru_stime) / 10)
"""
# What is heavy: packages, parts of Python, and folders of libraries.
WEIGHTS = r"""
import collections, os, re
weights = collections.Counter()
for top in ("/opt", "/usr", "/lib", "/etc"):
    for folder, _, files in os.walk(top):
        place = re.sub(r"(.*/(?:site-packages|python3\.\d+)/[^/]+).*", r"\1", folder)
        for file in files:
            weights[place] += os.lstat(os.path.join(folder, file)).st_size
for place, size in weights.most_common(40):
    print(f"{size / 1e6:7.2f} MB {place}")
"""
# All that Relay has is there, and so is all that it imports.
IMPORTS = """
import importlib, pkgutil, relay
modules = [each.name for each in pkgutil.walk_packages(relay.__path__, "relay.")]
for name in modules:
    if not name.startswith("relay.ledger.engine.migrations."):
        importlib.import_module(name)
print(len(modules))
"""
TOKEN = "a-long-token-of-the-shop"  # noqa: S105 - made up
CONFIG = """
cargo: {{base_url: "http://127.0.0.1:{cargo}/v1", token: a-token-of-the-sandbox}}
http: {{hooks: "127.0.0.1:{hooks}", health: "127.0.0.1:{health}", ops: "127.0.0.1:{ops}"}}
sources:
  shop: {{type: webhook, scheme: bearer, secret: {token}, event: {{id: "{{{{ data.id }}}}"}}}}
rules:
  - name: all
    source: shop
    chat:
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      name: "{{{{ data.id }}}}"
      trigger: {{type: connector, connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f}}
"""


def main() -> None:
    image, *build = sys.argv[1:]
    try_contents(image)
    try_demo(image)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        try_service(image, Path(folder))
        try_ends(image, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        try_readme(image, Path(folder))
    try_again(image, build)


def try_contents(image: str) -> None:
    about = inspect(image)
    if about["Size"] > MOST:
        print(python(image, WEIGHTS))
    hold(about["Size"] <= MOST, f"{about['Size'] / 1e6:.0f} MB, at most {MOST / 1e6:.0f}")
    labels = about["Config"]["Labels"]
    wanted = [f"org.opencontainers.image.{name}" for name in ("version", "revision", "source", "base.name")]
    hold(all(labels.get(name) for name in wanted), f"labels: {[labels.get(name) for name in wanted]}")
    hold(about["Config"]["User"] == "10001:10001", "the user is 10001")
    hold(engine("run", "--rm", "--entrypoint", "/bin/sh", image, ok=False).returncode != 0, "there is no shell")
    bill = json.loads(python(image, "print(open('/opt/relay/sbom.json').read())"))
    named = {each["name"]: each["version"] for each in bill["components"]}
    hold(named.keys() >= NATIVE, f"the bill names { ({name: named.get(name) for name in sorted(NATIVE)}) }")
    loaded = python(image, "import sqlite3; print(sqlite3.sqlite_version)").strip()
    hold(named["sqlite3"].startswith(loaded), f"and SQLite as it is loaded, {loaded}")
    hold(int(python(image, IMPORTS)) > 0, "every module of Relay can be imported")


def try_demo(image: str) -> None:
    """With nothing but the image: no network, nothing to write to."""
    for user in ("10001", "4321:0"):
        options = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--user", user)
        done = engine("run", *options, image, "demo", "--once")
        hold("Traceback" not in done.stderr, f"demo --once, read-only, without network, as {user}")


@dataclass(frozen=True)
class Place:
    """Where a relay of this trial and its Cargo listen, and how a container is made of it."""

    ports: dict[str, int]
    options: tuple[str, ...]

    @property
    def health(self) -> str:
        return f"http://127.0.0.1:{self.ports['health']}"

    def send(self, name: str) -> int:
        return post(f"http://127.0.0.1:{self.ports['hooks']}/hooks/shop", {"id": name}, TOKEN)

    def is_ready(self) -> bool:
        return get(f"{self.health}/readyz") != ""

    def is_calling(self) -> bool:
        return "relay_in_flight 1.0" in get(f"{self.health}/metrics")

    def has_chat(self, name: str) -> bool:
        return name in json.dumps(json.loads(get(f"http://127.0.0.1:{self.ports['cargo']}/_chats")))


@contextmanager
def placed(image: str, folder: Path, latency: float) -> Iterator[Place]:
    """A place with a Cargo that answers after `latency` seconds."""
    ports = {name: find_port() for name in ("cargo", "hooks", "health", "ops")}
    (folder / "relay.yaml").write_text(CONFIG.format(token=TOKEN, **ports))
    options = ("--read-only", "--network", "host", "--stop-timeout", "40", "--volume", f"{folder}:/etc/relay:ro")
    options += ("--env", f"RELAY_HEALTH_URL=http://127.0.0.1:{ports['health']}", "--volume", "/var/lib/relay")
    cargo = ("sandbox", "--port", str(ports["cargo"]), "--latency", str(latency))
    with running(image, "--network", "host", command=cargo):
        yield Place(ports, options)


def try_service(image: str, folder: Path) -> None:
    with placed(image, folder, latency=3) as place:
        with running(image, *place.options, command=("serve", "--linger", "1s")) as relay:
            wait(place.is_ready, "the service is ready, its root read-only")
            wait(lambda: is_healthy(relay), "the engine calls it healthy")
            cost = float(engine("exec", relay, "python", "-I", "-S", "-c", COST).stdout)
            hold(cost <= 0.060, f"a health check costs {cost * 1_000:.0f} ms of a core, at most 60")
            hold(place.send("one") == 202, "a webhook is accepted")
            wait(place.is_calling, "a call to Cargo is under way")
            code, took = stop(relay)
            held = code == 0 and "chat.created" in read_log(relay)
            hold(held, f"SIGTERM waits for it, and ends with 0 in {took:.1f} s")
            hold(place.has_chat("one"), "Cargo has the chat")
        with running(image, *place.options) as relay:
            wait(place.is_ready, "it is ready as an engine starts it")
            code, took = stop(relay)
            hold(code == 0 and took < 20, f"idle, it ends with 0 in {took:.1f} s")


def try_ends(image: str, folder: Path) -> None:
    """How a container ends where it does not end as usual."""
    with placed(image, folder, latency=60) as place:
        with running(image, *place.options, command=("serve", "--linger", "0s", "--grace", "6s")) as relay:
            wait(place.is_ready, "the service is ready")
            hold(place.send("two") == 202, "a webhook is accepted")
            wait(place.is_calling, "a call to Cargo is under way")
            code, took = stop(relay)
            # The last two seconds of the grace are for recording what was cut.
            hold(code == 0 and 3 < took < 15, f"a call that outlasts the grace is cut: {code} in {took:.1f} s")
        with running(image, *place.options, command=("serve", "--linger", "60s")) as relay:
            wait(place.is_ready, "the service is ready")
            engine("kill", "--signal", "TERM", relay)
            wait(lambda: not place.is_ready(), "after SIGTERM it lingers and is not ready")
            engine("kill", "--signal", "TERM", relay)
            hold(end_of(relay) == 143, "a second SIGTERM ends it at once, with 143")
        for _ in range(3):
            with running(image, *place.options) as relay:
                code, took = stop(relay)
                hold(code in {0, 143} and took < 15, f"stopped at its start, it ends with {code} in {took:.1f} s")
    (folder / "relay.yaml").write_text("rules: [{name: all}, {name: all}]\n")
    for command, wanted, why in (
        (("serve",), 2, "a configuration with faults"),
        (("check",), 1, "a check that finds some"),
        (("server",), 2, "no such command"),
        (("health", "--url", "http://127.0.0.1:1"), 3, "nothing there"),
    ):
        done = engine("run", "--rm", "--volume", f"{folder}:/etc/relay:ro", image, *command, ok=False)
        hold(done.returncode == wanted and "Traceback" not in done.stderr, f"{command[0]}: {wanted} for {why}")
    done = engine("run", "--rm", image, ok=False)
    hold(done.returncode == 2 and "Traceback" not in done.stderr, f"without anything: {done.stderr.strip()[-200:]}")


def try_readme(image: str, folder: Path) -> None:
    """The lines of README.md under "Image" as they are printed, but with this image, a free port and a new volume."""
    [block] = re.findall(r"```sh\n(docker run --rm relay demo.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    volume, port = f"relay-{uuid4().hex}", find_port()
    changes = {" relay ": f" {image} ", " relay\n": f" {image}\n", "-p 8080:": f"-p {port}:"}
    changes |= {"-v relay:": f"-v {volume}:", "docker run --stop": "docker run --detach --stop"}
    changes |= {"docker run": f"{find_engine()} run"}
    (folder / "relay.env").write_text("CARGO_API_TOKEN=a-token-of-cargo\nZENDESK_SECRET=a-secret-of-zendesk\n")
    *commands, serve = substitute(re.sub(" +#.*", "", block), changes).splitlines()
    for command in commands:
        run(command, folder)
        for file in folder.glob("relay.d/*.yaml"):  # "put in your agent and connector"
            file.write_text(re.sub(r"\b[0-9a-f-]{36}\b", lambda _: str(uuid4()), file.read_text()))
    relay = run(serve, folder).strip()
    try:
        url = f"http://127.0.0.1:{port}/hooks/helpdesk"
        wait(lambda: answers(lambda: post(url, {}) == 401), "the README's service refuses what is not signed")
        wait(lambda: is_healthy(relay), "and the engine calls it healthy")
        code, took = stop(relay)
        hold(code == 0, f"it ends with 0 in {took:.1f} s")
    finally:
        engine("rm", "--force", relay)
        engine("volume", "rm", volume)


def substitute(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def run(command: str, folder: Path) -> str:
    """What a command prints that is run by a shell in `folder`."""
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S602 - the README's
    if done.returncode:
        print(done.stdout + done.stderr)
    hold(done.returncode == 0, command)
    return done.stdout


def answers(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:
        return False


def try_again(image: str, build: list[str]) -> None:
    first = inspect(image)["RootFS"]["Layers"]
    subprocess.run([Path(__file__).with_name("image"), "--no-cache", *build], check=True, stdout=subprocess.DEVNULL)
    second = inspect(image)["RootFS"]["Layers"]
    hold(first == second, f"another build makes the same {len(first)} layers")


if __name__ == "__main__":
    main()
