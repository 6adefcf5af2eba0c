"""Tries the image on a Docker engine: `make image-test`. Each line says what held; the first that does not ends it.

image_test.py IMAGE [ARGUMENT_OF_DOCKER_BUILD...]
"""
# ruff: noqa: S310 - what is opened is on this machine

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

MOST = 120_000_000
"""Bytes of the image."""
NATIVE = {"glibc", "openssl", "sqlite3", "python", "cryptography", "aiohttp"}
PROBE = ["python", "-I", "-S", "/opt/relay/probe.py"]
# How long ten health checks took of the processor, in the container itself.
COST = f"""
import resource, subprocess
for _ in range(10):
    subprocess.run({PROBE}, check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print((used.ru_utime + used.ru_stime) / 10)
"""
CONFIG = """
cargo: {{base_url: "http://127.0.0.1:{cargo}/v1", token: a-token-of-the-sandbox}}
http: {{hooks: "127.0.0.1:{hooks}", health: "127.0.0.1:{health}", ops: "127.0.0.1:{ops}"}}
sources:
  shop: {{type: webhook, scheme: bearer, secret: a-long-token-of-the-shop, event: {{id: "{{{{ data.id }}}}"}}}}
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
    try_again(image, build)


def try_contents(image: str) -> None:
    about = inspect(image)
    hold(about["Size"] <= MOST, f"{about['Size'] / 1e6:.0f} MB, at most {MOST / 1e6:.0f}")
    labels = about["Config"]["Labels"]
    wanted = [f"org.opencontainers.image.{name}" for name in ("version", "revision", "source", "base.name")]
    hold(all(labels.get(name) for name in wanted), f"labels: {[labels.get(name) for name in wanted]}")
    hold(about["Config"]["User"] == "10001:10001", "the user is 10001")
    hold(docker("run", "--rm", "--entrypoint", "/bin/sh", image, ok=False).returncode != 0, "there is no shell")
    bill = json.loads(python(image, "print(open('/opt/relay/sbom.json').read())"))
    named = {each["name"]: each["version"] for each in bill["components"]}
    hold(named.keys() >= NATIVE, f"the bill names { ({name: named.get(name) for name in sorted(NATIVE)}) }")
    loaded = python(image, "import sqlite3; print(sqlite3.sqlite_version)").strip()
    hold(named["sqlite3"].startswith(loaded), f"and SQLite as it is loaded, {loaded}")


def try_demo(image: str) -> None:
    """With nothing but the image: no network, nothing to write to."""
    for user in ("10001", "4321:0"):
        options = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--user", user)
        done = docker("run", *options, image, "demo", "--once")
        hold("Traceback" not in done.stderr, f"demo --once, read-only, without network, as {user}")


def try_service(image: str, folder: Path) -> None:
    ports = {name: find_port() for name in ("cargo", "hooks", "health", "ops")}
    (folder / "relay.yaml").write_text(CONFIG.format(**ports))
    options = ("--read-only", "--network", "host", "--stop-timeout", "40", "--volume", f"{folder}:/etc/relay:ro")
    options += ("--env", f"RELAY_HEALTH_URL=http://127.0.0.1:{ports['health']}", "--volume", "/var/lib/relay")
    with (
        running(image, "--network", "host", command=("sandbox", "--port", str(ports["cargo"]), "--latency", "3")),
        running(image, *options, command=("serve", "--linger", "1s")) as relay,
    ):
        health = f"http://127.0.0.1:{ports['health']}"
        wait(lambda: get(f"{health}/readyz") != "", "the service is ready, its root read-only")
        cost = float(docker("exec", relay, "python", "-I", "-S", "-c", COST).stdout)
        hold(cost <= 0.060, f"a health check costs {cost * 1_000:.0f} ms of a core, at most 60")
        post(f"http://127.0.0.1:{ports['hooks']}/hooks/shop", {"id": "one"})
        wait(lambda: "relay_in_flight 1.0" in get(f"{health}/metrics"), "a call to Cargo is under way")
        docker("stop", relay)
        code = inspect(relay)["State"]["ExitCode"]
        said = docker("logs", relay)
        hold(code == 0 and "chat.created" in said.stdout + said.stderr, "SIGTERM waits for it, and ends with 0")
        chats = json.loads(get(f"http://127.0.0.1:{ports['cargo']}/_chats"))
        hold("one" in json.dumps(chats), "Cargo has the chat")


def try_again(image: str, build: list[str]) -> None:
    first = inspect(image)["RootFS"]["Layers"]
    subprocess.run([Path(__file__).with_name("image"), "--no-cache", *build], check=True, stdout=subprocess.DEVNULL)
    second = inspect(image)["RootFS"]["Layers"]
    hold(first == second, f"another build makes the same {len(first)} layers")


def hold(held: bool, what: str) -> None:
    print(f"{'ok' if held else 'NOT'}: {what}", flush=True)
    if not held:
        raise SystemExit(1)


def docker(*command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    if ok and done.returncode:
        raise SystemExit(f"docker {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def inspect(thing: str) -> Any:
    return json.loads(docker("inspect", thing).stdout)[0]


def python(image: str, code: str) -> str:
    return docker("run", "--rm", "--entrypoint", "python", image, "-c", code).stdout


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...]) -> Iterator[str]:
    """The id of a container that runs `command`; it is gone afterwards."""
    container = docker("run", "--detach", *options, image, *command).stdout.strip()
    try:
        yield container
    except BaseException:
        said = docker("logs", container, ok=False)
        print(said.stdout + said.stderr)
        raise
    finally:
        docker("rm", "--force", "--volumes", container)


def wait(held: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not held():
        if time.monotonic() > end:
            hold(False, what)
        time.sleep(0.1)
    hold(True, what)


def get(url: str) -> str:
    """The body of a 200; nothing while there is no other answer."""
    try:
        with urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def post(url: str, body: object) -> None:
    headers = {"Authorization": "Bearer a-long-token-of-the-shop", "Content-Type": "application/json"}
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
        hold(answer.status == 202, "a webhook is accepted")


def find_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
