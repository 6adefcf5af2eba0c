"""Asks an engine of containers, and a service in one, for those who build and try the image.

The engine is $ENGINE, else Docker or Podman, which takes the same commands: the first that answers.
`python3 engine.py` prints its name.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

# ruff: noqa: S310 - what is opened is on this machine
ENGINES = ("docker", "podman")
PATIENCE = 60.0
"""Seconds for what has to come about."""


def hold(held: bool, what: str) -> None:
    """Say that it held. What does not ends the trial."""
    print(f"{'ok' if held else 'NOT'}: {what}", flush=True)
    if not held:
        raise SystemExit(1)


def wait(held: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not held():
        if time.monotonic() > end:
            hold(False, what)
        time.sleep(0.1)
    hold(True, what)


@cache
def find_engine() -> str:
    """The name of the engine. A client whose service is away is none."""
    named = os.environ.get("ENGINE")
    for name in (named,) if named else ENGINES:
        try:
            if subprocess.run([name, "info"], capture_output=True, check=False).returncode == 0:
                return name
        except FileNotFoundError:
            continue
    raise SystemExit(f"no engine answers here: {named or ' or '.join(ENGINES)} (ENGINE=... names another)")


def engine(*command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """What the engine said; a refusal ends the trial unless `ok` is false."""
    done = subprocess.run([find_engine(), *command], capture_output=True, text=True, check=False)
    if ok and done.returncode:
        raise SystemExit(f"{find_engine()} {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def is_healthy(container: str) -> bool:
    """By the health check of its image. Podman leaves its turns to systemd, which need not be here: so ask for one."""
    if "podman" in engine("--version").stdout:  # which may go by the name of docker
        return engine("healthcheck", "run", container, ok=False).returncode == 0
    return bool(inspect(container)["State"]["Health"]["Status"] == "healthy")


def inspect(thing: str) -> Any:
    return json.loads(engine("inspect", thing).stdout)[0]


def python(image: str, code: str) -> str:
    """What this code prints in a container of the image."""
    return engine("run", "--rm", "--entrypoint", "python", image, "-c", code).stdout


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """The id of a container that runs `command`; it is gone afterwards."""
    container = engine("run", "--detach", *options, image, *command).stdout.strip()
    try:
        yield container
    except BaseException:
        print(read_log(container))
        raise
    finally:
        engine("rm", "--force", "--volumes", container)


def read_log(container: str) -> str:
    said = engine("logs", container, ok=False)
    return said.stdout + said.stderr


def stop(container: str) -> tuple[int, float]:
    """The exit code after the engine stopped it, and the seconds that it took."""
    begun = time.monotonic()
    engine("stop", container)
    return end_of(container), time.monotonic() - begun


def end_of(container: str) -> int:
    """The exit code of a container that ends."""
    return int(engine("wait", container).stdout)


def get(url: str) -> str:
    """The body of a 200; nothing while there is no other answer."""
    try:
        with urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def post(url: str, body: object, token: str = "") -> int:
    """The status of the answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def find_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    print(find_engine())
