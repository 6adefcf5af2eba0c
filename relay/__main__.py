"""`relay` and `python -m relay`: the command line. What ends it in a container is set before the rest is imported."""

import os
import signal


def main() -> None:
    """Run the command in the arguments."""
    if os.getpid() == 1:
        # The kernel ignores SIGTERM for the first process of a container until it has a handler, and importing the
        # commands takes a second on a busy machine. `serve` sets its own when it has read its configuration; a stop
        # before that would wait for the kill.
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    from relay.cli import main as run  # noqa: PLC0415 - the handler comes first

    run()


if __name__ == "__main__":
    main()
