"""`relay init VENDOR`: writes a first configuration to edit."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.cli.vendors import First

_TEMPLATE: Final = """\
# The relay's configuration. `relay check` validates it; `relay schema` prints every key.
# At the sender:
{setup}

cargo:
  base_url: ${{CARGO_BASE_URL:-https://api.getcargo.io/v1}}
  token: ${{CARGO_API_TOKEN}}            # Cargo: Settings > API

ledger:
  url: sqlite:///relay.db              # or postgresql://user@host:5432/relay, for several replicas

{broker}

sources:
{source}

rules:
{rule}
"""
_SOURCE: Final = """\
  {source}:{address}
{lines}"""
_RULE: Final = """\
  - name: {rule}
    source: {source}
{type}{when}    chat:
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a          # your agent's
      name: {name}
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f    # your connector's
        meta:
{meta}
    # message: "What the agent should do: {{{{ event.type }}}}"  # the chat's first message makes the agent act"""
_NO_BROKER: Final = """\
# broker:                              # results to RabbitMQ too; without it: `relay tail`, GET /api/results
#   url: ${RABBITMQ_URL}"""
BROKER: Final = """\
broker:
  url: ${RABBITMQ_URL}                 # amqp://user@host:5672"""


def _complete(incomplete: str) -> list[str]:
    from relay.cli.vendors import names

    return [name for name in names() if name.startswith(incomplete)]


def init(
    vendor: Annotated[
        str, typer.Argument(help="The sender: a scheme of `relay sources`, or rabbitmq.", autocompletion=_complete)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; - is stdout.")] = Path(
        "config/relay.yaml"
    ),
    add: Annotated[
        Path | None,
        typer.Option(
            "--add",
            metavar="FILE",
            help="Add the source and its rule to this file, or as a file to this folder.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a first configuration for a vendor, with comments, or add the vendor to an existing one."""
    from relay.cli.output import print_line
    from relay.cli.vendors import first, names
    from relay.cli.words import near

    if vendor not in names():
        hint = near(vendor, names(), "`relay sources` lists the vendors; rabbitmq is for a queue")
        raise RelayError(f"{vendor!r} is not a vendor that Relay knows: {hint}")
    chosen = first(vendor)
    if add is not None:
        from relay.cli.add import extend

        addition = extend(add, vendor, chosen)
        summary = f"{addition.path} now has source {addition.source} and rule {addition.rule}"
        return _print_next(summary, addition.text, add)
    text = compose(chosen)
    if str(out) == "-":
        return print_line(text.rstrip())
    _write(out, text, force=force)
    return _print_next(f"{out} was written", text, out)


def _print_next(summary: str, text: str, path: Path) -> None:
    from relay.cli.output import print_line

    variables = _variables(text)
    needed = f", set {' and '.join(variables)}" if variables else ""
    print_line(f"{summary}: fill in your agent and connector{needed}, then")
    print_line(f"  relay check --config {path}")
    print_line(f"  relay serve --config {path}")


def compose(vendor: "First") -> str:
    """The configuration as YAML."""
    return _TEMPLATE.format(
        setup=compose_setup(vendor, vendor.source),
        broker=BROKER if vendor.queue else _NO_BROKER,
        source=compose_source(vendor, vendor.source),
        rule=compose_rule(vendor, vendor.source, "first-rule"),
    )


def compose_setup(vendor: "First", source: str) -> str:
    """The steps at the vendor's, as comments."""
    return "\n".join(_wrapped(number, step, source) for number, step in enumerate(vendor.setup, 1))


def compose_source(vendor: "First", source: str) -> str:
    """The source with this name, as an entry of `sources`."""
    return _SOURCE.format(
        source=source,
        address="" if vendor.queue else f"{' ' * max(1, 34 - len(source))}# POST /hooks/{source}",
        lines="\n".join(f"    {line}" for line in vendor.lines),
    )


def compose_rule(vendor: "First", source: str, rule: str) -> str:
    """A rule with this name for the source, as an item of `rules`."""
    return _RULE.format(
        rule=rule,
        source=source,
        type=f"    type: {vendor.type}\n" if vendor.type else "",
        when=f"    when: {vendor.when}\n" if vendor.when else "",
        name=json.dumps(vendor.name, ensure_ascii=False),
        meta="\n".join(f"          {line}" for line in vendor.meta),
    )


def _wrapped(number: int, step: str, source: str) -> str:
    import textwrap

    text = f"{number}. {step.replace('{url}', f'https://<relay>/hooks/{source}')}"
    return textwrap.fill(text, 118, initial_indent="#  ", subsequent_indent="#     ", break_long_words=False)


def _variables(text: str) -> list[str]:
    import re

    unset = re.findall(r"^[^#\n]*\$\{(\w+)\}", text, re.MULTILINE)
    return list(dict.fromkeys(unset))


def _write(out: Path, text: str, *, force: bool) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RelayError(f"{out} already exists; use --force to overwrite it, or --out to name another file") from None
    except OSError as error:
        raise RelayError(f"{out} cannot be written: {error.strerror}; name another file with --out") from None
