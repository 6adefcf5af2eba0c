"""`relay init VENDOR`: a first configuration, to be edited."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.cli.vendors import First

_TEMPLATE: Final = """\
# The relay's configuration. `relay check` says whether it is right; `relay schema` prints every key.
# At the sender:
{setup}

cargo:
  base_url: ${{CARGO_BASE_URL:-https://api.getcargo.io/v1}}
  token: ${{CARGO_API_TOKEN}}            # Cargo: Settings > API

ledger:
  url: sqlite:///relay.db              # or postgresql://user@host:5432/relay, for several replicas

{broker}

sources:
  {source}:{address}
{lines}

rules:
  - name: first-rule
    source: {source}
{type}{when}    chat:
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a          # your agent's
      name: "{name}"
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f    # your connector's
        meta:
{meta}
    # message: "What the agent is to do: {{{{ event.type }}}}"   # the chat's first message makes the agent act
"""
_NO_BROKER: Final = """\
# broker:                              # results to RabbitMQ too; without it: `relay tail`, GET /api/results
#   url: ${RABBITMQ_URL}"""
_BROKER: Final = """\
broker:
  url: ${RABBITMQ_URL}                 # amqp://user@host:5672"""


def _complete(incomplete: str) -> list[str]:
    from relay.cli.vendors import names

    return [name for name in names() if name.startswith(incomplete)]


def init(
    vendor: Annotated[
        str, typer.Argument(help="Who sends, as `relay sources` lists them, or rabbitmq.", autocompletion=_complete)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; - is stdout.")] = Path(
        "config/relay.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a first configuration for a vendor, with comments."""
    from relay.cli.output import print_line
    from relay.cli.vendors import first, names

    if vendor not in names():
        raise RelayError(f"{vendor} is not known; `relay sources` lists who is, and there is rabbitmq")
    text = compose(first(vendor))
    if str(out) == "-":
        return print_line(text.rstrip())
    _write(out, text, force=force)
    print_line(f"{out} is written: put in your agent and connector, set {' and '.join(_variables(text))}, then")
    print_line(f"  relay check --config {out}")
    return print_line(f"  relay serve --config {out}")


def compose(vendor: "First") -> str:
    """The configuration as YAML."""
    queue = "type: amqp" in vendor.lines
    return _TEMPLATE.format(
        setup="\n".join(_wrapped(number, step, vendor.source) for number, step in enumerate(vendor.setup, 1)),
        broker=_BROKER if queue else _NO_BROKER,
        source=vendor.source,
        address="" if queue else f"{' ' * max(1, 34 - len(vendor.source))}# POST /hooks/{vendor.source}",
        lines="\n".join(f"    {line}" for line in vendor.lines),
        type=f'    type: "{vendor.type}"\n' if vendor.type else "",
        when=f"    when: {vendor.when}\n" if vendor.when else "",
        name=vendor.name,
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
        raise RelayError(f"{out} is there already; --force overwrites it, --out names another") from None
    except OSError as error:
        raise RelayError(f"{out} cannot be written: {error.strerror}; name another file by --out") from None
