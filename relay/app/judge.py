"""Judges refused requests again: repeats a webhook's steps, from verification to commit, at a later time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from relay.app.readmit import Judge, Judgement, Outcome, admitted
from relay.effort import Aside
from relay.errors import Conflict
from relay.hooks import Accepting, Fetch, Hook, decode, prove
from relay.model import Event, Ids, Kept
from relay.schemes import Headers, Request

Judges = Callable[[str, bool], Judge]
"""Returns the judge for a source name. With True (a dry run) it verifies and reads, but accepts nothing."""


@dataclass(frozen=True, slots=True)
class Court:
    """Implements `Judges`. `most` is the largest body in bytes after decompression."""

    hooks: Mapping[str, Hook]
    intake: Accepting
    most: int
    ids: Ids
    fetch: Fetch
    aside: Aside = field(default_factory=lambda: Aside("readmit"))

    def __call__(self, source: str, dry_run: bool) -> Judge:
        """The judge for a webhook source. Raises `Conflict` for a queue, because queues have no refused requests."""
        hook = self.hooks.get(source)
        if hook is None:
            raise Conflict(f"source {source} is a queue; what it cannot read goes to relay.dead")

        async def judge(kept: Kept, at: int) -> Judgement:
            events = await self._read(hook, kept, at)
            return Judgement(Outcome.READMITTED) if dry_run else admitted(await self.intake.accept(events))

        return judge

    async def _read(self, hook: Hook, kept: Kept, at: int) -> list[Event]:
        most, configured, headers = hook.bounds.body or self.most, hook.scheme, Headers.of(kept.headers)
        request = Request(kept.method, kept.url, headers, kept.body, at, most, configured.lists, configured.bodies)
        return await self.read(hook, request, at)

    async def read(self, hook: Hook, request: Request, at: int) -> list[Event]:
        """The events of a request, which is verified first. Raises Rejected."""
        aside = self.aside
        scheme = await aside.run(lambda: hook.scheme.of(request))
        evidence = await prove(scheme, request, self.fetch, aside)
        events = await aside.run(lambda: decode(hook, scheme, request, ids=self.ids, evidence=evidence))
        return [_name(event, at, place) for place, event in enumerate(events)]


def _name(event: Event, at: int, place: int) -> Event:
    """Give an event without an id one derived from its request, so that a second readmission is a duplicate."""
    if event.external_id is not None:
        return event
    return replace(event, external_id=f"refused:{at}:{place}:{event.digest.hex()}")
