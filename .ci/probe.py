"""The health check of the image: `python -I -S probe.py` ends with 0 when /livez answers 200, else with 1.

An engine runs it every few seconds, so it imports nothing of Relay and reads no configuration, which takes some twenty
times as long. RELAY_HEALTH_URL names the health listener where `http.health` is not the default.
"""

import os
import socket
import sys

TIMEOUT = 3.0


def main() -> int:
    url = os.environ.get("RELAY_HEALTH_URL", "http://127.0.0.1:8082")
    try:
        status = ask(*locate(url))
    except (OSError, ValueError) as error:
        print(f"{url}: {error}")
        return 1
    print(f"{url}: {status}")
    return 0 if status.split(" ")[1:2] == ["200"] else 1


def locate(url: str) -> tuple[str, int]:
    """Host and port of a URL. Raises ValueError when it is none of plain HTTP."""
    scheme, _, rest = url.partition("://")
    host, colon, port = rest.partition("/")[0].rpartition(":")
    if scheme != "http" or not colon or not port.isdigit():
        raise ValueError("write RELAY_HEALTH_URL as http://127.0.0.1:8082")
    return host.strip("[]"), int(port)


def ask(host: str, port: int) -> str:
    """The status line of the answer."""
    with socket.create_connection((host, port), timeout=TIMEOUT) as connection:
        connection.sendall(f"GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as answer:
            return answer.readline(200).decode("latin-1").strip()


if __name__ == "__main__":
    sys.exit(main())
