"""`relay topology`: prints the exchanges, queues and bindings that RabbitMQ needs."""

from typing import Annotated

import typer

from relay.cli.guard import complain, warn
from relay.cli.options import Config


def topology(
    config: Config = None,
    definitions: Annotated[
        bool, typer.Option("--definitions", "--json", help="Print a definitions file that RabbitMQ imports.")
    ] = False,
) -> None:
    """Print the exchanges, queues and bindings that this configuration needs, as commands for rabbitmqadmin."""
    import json

    from relay.app import describe_topology
    from relay.cli.output import print_line
    from relay.cli.settings import load

    loaded = load(config, strict=False)
    if loaded.settings.broker is None:
        complain("the configuration has no broker, so nothing is needed of RabbitMQ; `broker.url` would name one", 1)
    required = describe_topology(loaded.settings)
    for warning in loaded.warnings:
        if ": broker." in warning:
            warn(f"warning: {warning}")
    lines = [json.dumps(required.definitions(), indent=2)] if definitions else required.commands()
    for line in lines:
        print_line(line)
