"""`relay send SOURCE FILE`: signs a payload like the vendor and posts it to a running relay."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from relay.cli.guard import Unreachable, complain, warn
from relay.cli.options import AsJson, Config, Headers, Payload, SourceName
from relay.cli.words import near
from relay.depth import OWN, load
from relay.errors import Misconfigured, RelayError

if TYPE_CHECKING:
    from relay.config import Loaded


_HEADER: Final = re.compile(r"""headers\["([^"]+)"\]""")
_ADVICE: Final = {
    401: "; the secret of {source} here differs from that of the running relay: `relay events --rejected` says why",
    404: "; that relay has no webhook source {source}: it has another configuration: `relay diff` shows it",
    413: "; raise http.max_body, or max_body of {source}",
    429: "; wait, or raise limit of {source} or http.limit_refused",
    503: "; try again later: `relay health` and /readyz?verbose show what is wrong",
}
"""The advice for each status."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: Any


def send(
    source: SourceName,
    file: Payload,
    header: Headers = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="The sender's id; default: a new one.", show_default=False)
    ] = None,
    private_key: Annotated[
        Path | None,
        typer.Option("--private-key", help="The sender's private key in PEM, when the secret is its public key."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The hooks listener; default: that of the configuration.", show_default=False),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Sign a payload like the vendor and post it to a running relay."""
    import asyncio

    from relay import schemes
    from relay.cli.output import print_json
    from relay.cli.payload import guess_type, read_headers, read_payload
    from relay.cli.route import require_address
    from relay.cli.settings import address, load
    from relay.model import new_id

    if url:
        require_address(url, "http://127.0.0.1:8080")
    loaded = load(config, strict=False)
    settings = loaded.settings
    _require_secret(loaded, source)
    target = f"{(url or address('http.hooks', settings.http.hooks)).rstrip('/')}/hooks/{source}"
    body = read_payload(file)
    headers = {"content-type": guess_type(file, body)} | read_headers(header)
    request = schemes.Request("POST", target, schemes.Headers.of(headers), body, int(time.time() * 1_000))
    source_settings = _find(settings, source)
    scheme = schemes.build(source_settings.spec())
    try:
        signed = scheme.sign(request, id=id_ or new_id(), private=_read_key(private_key) if private_key else None)
    except ValueError as error:
        raise RelayError(f"this cannot be signed like {scheme.vendor.name} does: {error}") from None
    sent = dict(signed.headers.flat()) | read_headers(header)
    if advice := _lacks_type(source_settings.scheme, sent):
        warn(f"relay: warning: {advice}")
    answer = asyncio.run(_post(signed.url, signed.body, sent))
    if as_json:
        print_json(answer.document)
    else:
        _print(answer, source, scheme.vendor.name)
    if answer.status >= 300:
        raise typer.Exit(3 if answer.status == 503 else 1)


def _lacks_type(scheme: str, headers: dict[str, str]) -> str | None:
    """Advice to add the header with the event's type, when the vendor sends it only in headers and none is given."""
    from relay.schemes import vendor

    entry = vendor(scheme)
    headers_by_phrase = [_HEADER.findall(phrase) for phrase in entry.event.type]
    type_headers = list(dict.fromkeys(name for names in headers_by_phrase for name in names))
    if not headers_by_phrase or not all(headers_by_phrase) or {name.lower() for name in headers} & set(type_headers):
        return None
    spelling = {name.lower(): name for name in entry.mark}
    name = spelling.get(type_headers[0], type_headers[0].title())
    return f"{entry.name} sends an event's type in the header {name}, which is missing: add -H '{name}: ...'"


def _read_key(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RelayError(f"{path} is not a text file: name a private key in PEM") from None
    except OSError as error:
        raise RelayError(f"{path} cannot be read: {error.strerror}") from None


def _require_secret(loaded: "Loaded", source: str) -> None:
    """Raise Misconfigured when the secret of this source is not set. Other secrets are not needed."""
    if getattr(loaded.settings.sources.get(source), "unset", False):
        raise Misconfigured([warning for warning in loaded.warnings if f": sources.{source}.secret" in warning])


def _find(settings: Any, name: str) -> Any:
    source = settings.sources.get(name)
    if source is None:
        raise RelayError(f"there is no source {name} in the configuration: {near(name, settings.sources)}")
    if source.type != "webhook":
        raise RelayError(f"source {name} is a queue; publish to {source.queue} on RabbitMQ instead")
    return source


async def _post(url: str, body: bytes, headers: dict[str, str]) -> _Answer:
    import aiohttp

    from relay.cli.route import reason, route

    arguments = route(url, headers)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
            session.post(url, data=body, allow_redirects=False, **arguments) as answer,
        ):
            return _Answer(answer.status, _parse(await answer.read()))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(
            f"no relay answers at {url} ({reason(error, arguments)}); "
            "start one with `relay serve`, or set its address with --url"
        ) from None


def _parse(body: bytes) -> Any:
    try:
        return load(body, OWN)
    except ValueError:
        return body.decode(errors="replace")


def _print(answer: _Answer, source: str, vendor: str) -> None:
    from relay.cli.output import print_line, print_table

    document = answer.document
    if isinstance(document, dict) and "events" in document:
        print_table(
            ["id", "external id", "status", "type", "dispatches"],
            [
                (event["id"], event["externalId"], event["status"], event["type"], _dispatches(event))
                for event in document["events"]
            ],
            spare=("external id", "type"),
        )
    elif answer.status >= 300:
        detail = document.get("detail") or document.get("title") if isinstance(document, dict) else document
        advice = _ADVICE.get(answer.status, "").format(source=source)
        complain(f"the relay answered {answer.status}: {detail}{advice}", 3 if answer.status == 503 else 1)
    else:
        print_line(f"{answer.status}: accepted, and answered as {vendor} expects; `relay events` shows its outcome")
        if document:
            print_line(str(document))


def _dispatches(event: dict[str, Any]) -> str:
    return "\n".join(f"{dispatch['rule']}: {dispatch['id']}" for dispatch in event["dispatches"])
