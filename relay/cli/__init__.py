"""The command line: one file per command.

Exit codes: 0 success, 1 a fault in the input or the configuration, 2 wrong usage or a service that cannot start, 3 the
service cannot be reached.
"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from relay.cli.acts import acts
from relay.cli.cancel import cancel
from relay.cli.check import check
from relay.cli.dead import dead
from relay.cli.demo import demo
from relay.cli.diff import diff
from relay.cli.doctor import doctor
from relay.cli.erase import erase
from relay.cli.events import events
from relay.cli.examples import EXAMPLES
from relay.cli.forget import forget
from relay.cli.guard import Guarded, warn
from relay.cli.health import health
from relay.cli.init import init
from relay.cli.jobs import jobs
from relay.cli.migrate import migrate
from relay.cli.pause import pause, resume
from relay.cli.problems import problems
from relay.cli.readmit import readmit
from relay.cli.recipes import recipes
from relay.cli.rehearse import rehearse
from relay.cli.rekey import rekey
from relay.cli.reload import reload
from relay.cli.replay import replay
from relay.cli.retry import retry
from relay.cli.rules import rules
from relay.cli.sandbox import sandbox
from relay.cli.schema import schema
from relay.cli.send import send
from relay.cli.serve import serve
from relay.cli.show import show
from relay.cli.sources import sources
from relay.cli.tail import tail
from relay.cli.terminal import Command, Unwritten, When, choose_colours, give_up_output, prepare
from relay.cli.topology import topology
from relay.cli.try_ import try_
from relay.cli.usage import usage
from relay.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Guarded,
    name="relay",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(show_version: bool) -> None:
    if show_version:
        from relay import __version__

        typer.echo(f"relay {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 success, 1 fault in the input or configuration, 2 wrong usage or no start, 3 unreachable."
)
def _relay(
    version: Annotated[  # noqa: ARG001 - its callback ends the command
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    colour: Annotated[
        When,
        typer.Option("--color", help="Colours; auto means on a terminal, unless NO_COLOR is set."),
    ] = When.AUTO,
) -> None:
    """Turns events of a CRM, a helpdesk or a queue into Cargo AI chats: none lost, none twice."""
    choose_colours(colour)


_PANELS: dict[str, dict[str, Callable[..., None]]] = {
    "Run": {"serve": serve, "demo": demo, "init": init, "check": check},
    "Try": {
        "sources": sources,
        "recipes": recipes,
        "try": try_,
        "rehearse": rehearse,
        "send": send,
        "verify": verify,
        "sandbox": sandbox,
    },
    "Look and act": {
        "events": events,
        "show": show,
        "replay": replay,
        "jobs": jobs,
        "retry": retry,
        "cancel": cancel,
        "pause": pause,
        "resume": resume,
        "rules": rules,
        "usage": usage,
        "problems": problems,
        "readmit": readmit,
        "dead": dead,
        "acts": acts,
        "forget": forget,
        "erase": erase,
        "tail": tail,
    },
    "Maintain": {
        "doctor": doctor,
        "reload": reload,
        "diff": diff,
        "migrate": migrate,
        "rekey": rekey,
        "topology": topology,
        "schema": schema,
        "health": health,
    },
}
for _panel, _commands in _PANELS.items():
    for _name, _command in _commands.items():
        app.command(_name, cls=Command, rich_help_panel=_panel, epilog=f"Example: {EXAMPLES[_name]}")(_command)


def main() -> None:
    """Run the command in the arguments."""
    prepare()
    try:
        app(prog_name="relay")
    except Unwritten as error:
        give_up_output()
        warn(f"relay: {error}")
        sys.exit(1)
