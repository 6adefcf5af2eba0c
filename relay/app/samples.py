"""Sends a sample of its vendor to a source, by the way of a request: signed, verified, read, accepted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import yaml

from relay.app.judge import Court
from relay.errors import Conflict, Rejected
from relay.model import Ids
from relay.schemes import Headers, Request

_KINDS: Final = {"json": "application/json", "xml": "text/xml"}
_PLAIN: Final = {"hmac", "bearer", "basic", "none", "standard-webhooks"}
"""Schemes of no vendor, which any JSON fits."""
_ANY: Final = b'{"id": "sample", "type": "sample", "subject": "A sample of the relay"}'


@dataclass(frozen=True, slots=True)
class Samples:
    """`clock` returns milliseconds since the epoch."""

    court: Court
    ids: Ids
    clock: Callable[[], int]

    async def send(self, source: str, scheme: str) -> Sequence[str]:
        """Send one. Returns the ids of its events. Raises Conflict, and what accepting raises."""
        hook = self.court.hooks[source]
        body, kind = find_sample(scheme)
        now = self.clock()
        headers = Headers.of({"content-type": kind})
        most, configured = hook.bounds.body or self.court.most, hook.scheme
        url = f"https://relay.invalid/hooks/{source}"
        request = Request("POST", url, headers, body, now, most, configured.lists, configured.bodies)
        try:
            signed = configured.sign(request, id=self.ids())
            events = await self.court.read(hook, signed, now)
        except (ValueError, Rejected) as error:
            raise Conflict(f"a sample cannot be signed as the vendor of {source} does: {error}") from None
        # A sample has the same ids each time: as it is, the second one would be a duplicate.
        new = [replace(event, external_id=f"sample-{self.ids()}", repeat=None, twins=False) for event in events]
        return [receipt.id for receipt in await self.court.intake.accept(new)]


def find_sample(scheme: str) -> tuple[bytes, str]:
    """The body of a request of this scheme, and its content type. Raises Conflict where there is none."""
    for name, known in _recipes():
        if known == scheme:
            return name.read_bytes(), _KINDS[name.name.rpartition(".")[2]]
    if scheme in _PLAIN:
        return _ANY, _KINDS["json"]
    raise Conflict(f"there is no sample of {scheme}: send one by `relay send`")


def _recipes() -> Iterator[tuple[Traversable, str]]:
    """The samples beside the recipes, each with the scheme of its source."""
    installed = files("relay") / "recipes"
    folder: Traversable = installed if installed.is_dir() else Path(__file__).parents[2] / "config" / "recipes"
    by_name = {file.name: file for file in folder.iterdir()}
    for name, file in sorted(by_name.items()):
        stem, _, ending = name.rpartition(".")
        sample = next((by_name[f"{stem}.{kind}"] for kind in _KINDS if f"{stem}.{kind}" in by_name), None)
        if ending == "yaml" and sample is not None:
            [source] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["sources"].values()
            yield sample, source.get("scheme", "")
