"""Makes a sample of a source's vendor an event, by the way of a request: signed, verified, read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import yaml

from relay.app.judge import Court
from relay.errors import Conflict, Rejected, Retryable
from relay.model import Event, Ids
from relay.schemes import Headers, Request, build, names, vendor

_KINDS: Final = {"json": "application/json", "xml": "text/xml"}
_PLAIN: Final = {"hmac", "bearer", "basic", "none", "standard-webhooks"}
"""Schemes of no vendor, which any JSON fits."""
_ANY: Final = b'{"id": "sample", "type": "sample", "subject": "A sample of the relay"}'


@dataclass(frozen=True, slots=True)
class VendorSample:
    """A request of a vendor, before it is signed."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Samples:
    """`paused` says whether a source is. `clock` returns milliseconds since the epoch."""

    court: Court
    paused: Callable[[str], bool]
    ids: Ids
    clock: Callable[[], int]

    async def make(self, source: str) -> list[Event]:
        """The events of a new sample, ready to be accepted. Raises Conflict, which says why there can be none."""
        hook = self.court.hooks.get(source)
        if hook is None:
            raise Conflict(f"source {source} is a queue: publish a message to it on RabbitMQ instead")
        if self.paused(source):
            raise Conflict(f"source {source} is paused, so nothing comes in: resume it first")
        sample, scheme, now = find_sample(hook.spec.scheme), build(hook.spec), self.clock()
        if scheme.vendor.learns and not hook.spec.secrets:
            raise Conflict(f"source {source} has no secret to sign with yet: its sender brings one by its handshake")
        # A scheme of its own: a sample must not count as a use of the source's secret, by which `doctor` tells whether
        # the vendor has the new one.
        hook = replace(hook, scheme=scheme)
        most = hook.bounds.body or self.court.most
        url = f"https://relay.invalid/hooks/{source}"
        request = Request("POST", url, Headers.of(sample.headers), sample.body, now, most, scheme.lists, scheme.bodies)
        try:
            signed = scheme.sign(request, id=self.ids())
        except ValueError:
            advice = "send a request of your own by `relay send --private-key`"
            raise Conflict(f"{scheme.vendor.name} signs with a private key that only it has: {advice}") from None
        try:
            events = await self.court.read(hook, signed, now)
        except (Rejected, Retryable) as error:
            raise Conflict(f"the relay would refuse its own sample: {error}") from None
        # A sample has the same ids each time: as it is, the second one would be a duplicate.
        return [replace(event, external_id=f"sample-{self.ids()}", repeat=None, twins=False) for event in events]


@cache
def find_sample(scheme: str) -> VendorSample:
    """A request of this scheme. Raises Conflict where there is none.

    A scheme that is one of several of a vendor (`hubspot-v1`) has the vendor's (`hubspot`) if its events are alike.
    """
    for wanted in (scheme, *(name for name in names() if _is_like(scheme, vendor(name).picks))):
        if (found := next(_read(wanted), None)) is not None:
            return found
    if scheme in _PLAIN:
        return VendorSample(_ANY, {"content-type": _KINDS["json"]})
    raise Conflict(f"there is no sample of {vendor(scheme).name}: send a request of your own by `relay send`")


def _is_like(scheme: str, picks: Sequence[str]) -> bool:
    return scheme in picks and vendor(scheme).event == vendor(picks[0]).event


def _read(scheme: str) -> Iterator[VendorSample]:
    """The samples beside the recipes for this scheme. The first test of a recipe has the headers of its sample."""
    installed = files("relay") / "recipes"
    folder: Traversable = installed if installed.is_dir() else Path(__file__).parents[2] / "config" / "recipes"
    by_name = {file.name: file for file in folder.iterdir()}
    for name, file in sorted(by_name.items()):
        stem, _, ending = name.rpartition(".")
        kind = next((kind for kind in _KINDS if f"{stem}.{kind}" in by_name), None)
        text = file.read_text(encoding="utf-8") if ending == "yaml" and kind is not None else ""
        if kind is None or f" scheme: {scheme}\n" not in text:  # to parse them all takes a third of a second
            continue
        first, *_ = yaml.load(text, Loader=yaml.CSafeLoader)["tests"]
        headers = {"content-type": _KINDS[kind], **first.get("headers", {})}
        yield VendorSample(by_name[f"{stem}.{kind}"].read_bytes(), headers)
