"""Asks a Docker engine, and a service in a container, for those who try the image."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

# ruff: noqa: S310 - what is opened is on this machine
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


def docker(*command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """What the engine said; a refusal ends the trial unless `ok` is false."""
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    if ok and done.returncode:
        raise SystemExit(f"docker {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def inspect(thing: str) -> Any:
    return json.loads(docker("inspect", thing).stdout)[0]


def python(image: str, code: str) -> str:
    """What this code prints in a container of the image."""
    return docker("run", "--rm", "--entrypoint", "python", image, "-c", code).stdout


@contextmanager
def running(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    """The id of a container that runs `command`; it is gone afterwards."""
    container = docker("run", "--detach", *options, image, *command).stdout.strip()
    try:
        yield container
    except BaseException:
        print(read_log(container))
        raise
    finally:
        docker("rm", "--force", "--volumes", container)


def read_log(container: str) -> str:
    said = docker("logs", container, ok=False)
    return said.stdout + said.stderr


def stop(container: str) -> tuple[int, float]:
    """The exit code after `docker stop`, and the seconds that it took."""
    begun = time.monotonic()
    docker("stop", container)
    return end_of(container), time.monotonic() - begun


def end_of(container: str) -> int:
    """The exit code of a container that ends."""
    return int(docker("wait", container).stdout)


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
