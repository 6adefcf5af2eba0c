"""The handlers under `/api`. Each reads what is asked, asks the ledger or the operations, and shows the answer."""

from collections.abc import Callable

from aiohttp import web

from relay.ops import show, wire
from relay.ops.ask import (
    EventsAsk,
    ReadmitAsk,
    RejectedAsk,
    ReplayAsk,
    ResultsAsk,
    RetryAsk,
    TryAsk,
    read_body,
    read_cursor,
    read_id,
    read_query,
)
from relay.ops.operations import Operations
from relay.ops.problem import BadRequest
from relay.ops.stream import Stream
from relay.ports import Archive


class Api:
    """`clock` gives milliseconds since the epoch."""

    def __init__(self, archive: Archive, operations: Operations, stream: Stream, clock: Callable[[], int]) -> None:
        self._archive = archive
        self._operations = operations
        self._stream = stream
        self._clock = clock

    async def events(self, request: web.Request) -> wire.EventPage:
        asked = read_query(request, EventsAsk)
        return show.page(await self._archive.events(asked.query(self._clock())))

    async def event(self, request: web.Request) -> wire.EventDetail:
        return show.detail(await self._archive.event(read_id(request)))

    async def replay(self, request: web.Request) -> wire.Replayed:
        asked = await read_body(request, ReplayAsk)
        added = await self._operations.replay(read_id(request), again=asked.again)
        return wire.Replayed(dispatches=[wire.Added(id=made, rule=rule) for made, rule in added])

    async def retry(self, request: web.Request) -> wire.Started:
        asked = await read_body(request, RetryAsk)
        return show.started(await self._operations.retry(read_id(request), render=asked.render))

    async def cancel(self, request: web.Request) -> wire.Started:
        return show.started(await self._operations.cancel(read_id(request)))

    async def results(self, request: web.Request) -> web.StreamResponse:
        asked = read_query(request, ResultsAsk)
        resumed = read_cursor(request.headers.get("Last-Event-ID"))
        after = None if asked.after == "latest" else read_cursor(asked.after) or 0
        return await self._stream.send(request, after if resumed is None else resumed, follow=asked.follow)

    async def attempt(self, request: web.Request) -> wire.Trial:
        asked = await read_body(request, TryAsk)
        if asked.event is not None:
            if asked.model_fields_set != {"event"}:
                raise BadRequest("give the id of an event, or a delivery with source and body, not both")
            return wire.Trial.model_validate(await self._operations.try_kept(asked.event))
        if asked.source is None:
            raise BadRequest("key source: name a source, with headers and body, or give the id of an event as event")
        headers = {name.lower(): value for name, value in asked.headers.items()}
        return wire.Trial.model_validate(await self._operations.try_event(asked.source, headers, asked.raw()))

    async def sources(self, _: web.Request) -> wire.Sources:
        return wire.Sources.model_validate({"sources": self._operations.sources()})

    async def pause(self, request: web.Request) -> wire.SourceState:
        name = request.match_info["name"]
        await self._operations.pause_source(name)
        return wire.SourceState(name=name, paused=True)

    async def resume(self, request: web.Request) -> wire.SourceState:
        name = request.match_info["name"]
        await self._operations.resume_source(name)
        return wire.SourceState(name=name, paused=False)

    async def readmit(self, request: web.Request) -> wire.Readmission:
        asked = read_query(request, ReadmitAsk)
        told = await self._operations.readmit(request.match_info["name"], dry_run=asked.dry_run)
        return wire.Readmission.model_validate(told)

    async def forget(self, request: web.Request) -> wire.Forgotten:
        return wire.Forgotten(forgotten=await self._operations.forget(request.match_info["name"]))

    async def secret(self, request: web.Request) -> wire.LearnedSecret:
        secret = await self._operations.learned_secret(request.match_info["name"])
        return wire.LearnedSecret(secret=secret.reveal())

    async def rules(self, _: web.Request) -> wire.Rules:
        return wire.Rules.model_validate({"rules": self._operations.rules()})

    async def rejected(self, request: web.Request) -> wire.Rejections:
        asked = read_query(request, RejectedAsk)
        refused = await self._archive.rejected(asked.source, asked.limit)
        return wire.Rejections(rejected=[show.rejection(one) for one in refused])
