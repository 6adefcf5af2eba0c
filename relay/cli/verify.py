"""`relay verify SCHEME FILE`: verifies a captured request without a server, like the listener does."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import reason
from relay.cli.options import AsJson, Headers, Payload
from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.schemes import Request, Scheme

_LISTS = frozenset({"versions", "topics", "origins", "cut", "xml_lists"})


def complete_scheme(incomplete: str) -> list[str]:
    from relay.schemes import names

    return sorted(name for name in names() if name.startswith(incomplete))


SchemeName = Annotated[
    str,
    typer.Argument(metavar="SCHEME", help="A scheme of `relay sources`.", autocompletion=complete_scheme),
]


def verify(
    scheme: SchemeName,
    file: Payload,
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", help="The secret, which other users can see in the process list; may be repeated."),
    ] = None,
    secret_file: Annotated[
        list[Path] | None, typer.Option("--secret-file", help="A file with the secret; may be repeated.")
    ] = None,
    secret_env: Annotated[
        list[str] | None, typer.Option("--secret-env", help="A variable with the secret; may be repeated.")
    ] = None,
    method: Annotated[str, typer.Option("--method", "-X", help="The method of the request.")] = "POST",
    url: Annotated[str, typer.Option("--url", help="The URL that the sender called, for schemes that sign it.")] = "",
    header: Headers = None,
    at: Annotated[
        float | None,
        typer.Option(
            "--at", help="When it arrived, in seconds since 1970; without it, the age is shown but not checked."
        ),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="Another key of the scheme, KEY=VALUE; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a captured request, and say why it fails: `valid` (exit code 0) or `invalid` (exit code 1)."""
    from relay import schemes
    from relay.cli.output import print_json, print_line
    from relay.cli.payload import read_header_lines, read_payload
    from relay.secret import Secret

    secrets = (*(secret or ()), *map(_read, secret_file or ()), *map(read_variable, secret_env or ()))
    spec = schemes.SchemeSpec(scheme, tuple(map(Secret, secrets)), _options(sets or ()))
    try:
        built = schemes.build(spec, lenient=spec.scheme != "hmac")
    except schemes.SchemeFault as fault:
        raise RelayError(f"scheme {scheme}: {fault.key}: {fault.message}") from None
    headers = schemes.Headers(read_header_lines(header))
    now = int((time.time() if at is None else at) * 1_000)
    request = schemes.Request(
        method.upper(), url, headers, read_payload(file), now, lists=built.lists, bodies=built.bodies
    )
    verdict = _judge(spec, built.of(request), request, aged=at is not None)
    if as_json:
        print_json(verdict)
    else:
        print_line(_line(verdict))
    if not verdict["valid"]:
        raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise RelayError(f"--secret-file {file} cannot be read: {reason(error)}; name a text file") from None


def read_variable(name: str) -> str:
    """The variable that `--secret-env` names. Raises RelayError."""
    try:
        return os.environ[name]
    except KeyError:
        raise RelayError(f"--secret-env {name}: the variable is not set; export it") from None


def _judge(spec: Any, scheme: "Scheme", request: "Request", *, aged: bool) -> dict[str, Any]:
    from relay.errors import Rejected
    from relay.schemes import diagnose

    verdict: dict[str, Any] = {"valid": True, "scheme": scheme.name, "reason": None, "message": None, "hint": None}
    try:
        _verify(scheme, request)
    except Rejected as error:
        verdict |= {"reason": error.reason, "message": str(error), "hint": diagnose(spec, request, error)}
        verdict["valid"] = not aged and error.reason in {"timestamp_old", "timestamp_future"}
    return verdict


def _verify(scheme: "Scheme", request: "Request") -> None:
    import asyncio

    from relay.effort import Aside
    from relay.errors import Retryable
    from relay.hooks import fetch, prove

    try:
        asyncio.run(prove(scheme, request, fetch, Aside("verify")))
    except Retryable as error:
        raise RelayError(f"{error}; give the certificate with --set cert_pem=@FILE") from None


def _options(sets: Any) -> dict[str, Any]:
    """Options from `KEY=VALUE` pairs. `@FILE` is the text of a file. Keys with several values take them with commas."""
    from relay.cli.payload import read_text

    options: dict[str, Any] = {}
    for pair in sets:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise RelayError(f"--set {pair!r} is not a pair; write KEY=VALUE")
        text = read_text(value[1:]) if value.startswith("@") else value
        options[key.replace("-", "_")] = tuple(text.split(",")) if key in _LISTS else text
    return options


def _line(verdict: dict[str, Any]) -> str:
    if verdict["valid"] and verdict["reason"] is None:
        return "valid"
    if verdict["valid"]:
        return f"valid (when it was signed; {verdict['hint']}; give the arrival time with --at)"
    return f"invalid: {verdict['reason']}: {verdict['message']}; {verdict['hint']}"
