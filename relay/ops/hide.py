"""Hides from callers below the role `admin` what is at the paths in `hide` of a source."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Final, TypeVar

from aiohttp import web

from relay.effort import Aside
from relay.errors import Conflict, NotFound
from relay.mask import MASK, Blind, Mask
from relay.model import (
    ERASED,
    AttemptView,
    DeadLetter,
    DeadPage,
    DispatchView,
    Event,
    EventDetail,
    EventPage,
    EventQuery,
    EventView,
    Failure,
    Job,
    Labels,
    ProblemPage,
    Rejection,
    RejectionView,
    ReplayAim,
    Result,
    ResultPage,
    ResultType,
    ResultView,
    Skip,
)
from relay.ops.access import Role
from relay.ops.guard import role_of
from relay.ops.problem import NotAllowed
from relay.ops.verdict import mask_explained, mask_trial, unasked
from relay.ports import Archive
from relay.telemetry import Part

Hidden = Mapping[str, Sequence[str]]
"""The hidden paths of each source that has some."""
Gathering = AbstractSet[str]
"""Ids of dispatches that may show values of several events, of which only one is at hand."""
Found = TypeVar("Found", Event, EventView)
Shown = TypeVar("Shown")

_OURS: Final = frozenset(
    {
        *("source", "eventId", "receivedAt", "agentUuid", "rule", "dispatchId", "run", "attempts", "chatUuid"),
        *("reconciled", "createdAt", "by"),
    }
)
"""The fields of a result's data that no sender can write into."""
_OF_PROBLEMS: Final = frozenset({ResultType.OPENED, ResultType.RESOLVED})


class Hide:
    """What callers may see of events. `hidden` gives the hidden paths that are in force.

    A list reads no bodies, so for each of its events of a source with hidden paths the event is read. What takes longer
    than 2 ms of an event is masked in a thread: how long it takes is up to who sent it, and webhooks are answered by
    the same event loop.
    """

    def __init__(self, archive: Archive, hidden: Callable[[], Hidden]) -> None:
        self._archive = archive
        self._hidden = hidden
        self._aside = Aside("hide")

    async def close(self, _: web.Application) -> None:
        """End the thread. For `on_cleanup`."""
        self._aside.close()

    def of(self, request: web.Request) -> Hidden:
        """The hidden paths by source, for who asks."""
        return {} if role_of(request) is Role.ADMIN else self._hidden()

    def query(self, request: web.Request, query: EventQuery) -> EventQuery:
        """The query, which then finds no event by what is hidden of it."""
        return replace(query, closed=frozenset(self.of(request)))

    async def page(self, request: web.Request, page: EventPage) -> EventPage:
        hidden = self.of(request)
        if not hidden:
            return page
        blind = await self._gathering([each.id for view in page.events for each in view.dispatches], hidden)
        events = [
            await self._masked(view.id, hidden[view.source], partial(_event_view, view, blind=blind))
            if view.source in hidden
            else replace(view, dispatches=_dispatches(view.dispatches, None, blind))
            for view in page.events
        ]
        return replace(page, events=tuple(events))

    async def detail(self, request: web.Request, detail: EventDetail) -> tuple[EventDetail, Sequence[str]]:
        """An event without what is hidden of it, and the paths that are hidden."""
        hidden = self.of(request)
        paths = hidden.get(detail.event.source)
        blind = await self._gathering([view.id for view in detail.dispatches], hidden)
        if not paths:
            return _made_of(detail, None, blind), ()
        return await self._aside.run(lambda: _detail(detail, _mask_of(detail.event, paths), blind)), paths

    async def results(self, request: web.Request, batch: list[tuple[int, Result]]) -> list[tuple[int, Result]]:
        hidden = self.of(request)
        if not hidden:
            return batch
        blind = await self._gathering([result.dispatch_id for _, result in batch], hidden)
        return [(cursor, await self._result(result, hidden, blind)) for cursor, result in batch]

    async def told(self, request: web.Request, page: ResultPage) -> ResultPage:
        """Results with the state of their deliveries, whose errors name routing keys and reply queues."""
        hidden = self.of(request)
        if not hidden:
            return page
        blind = await self._gathering([view.result.dispatch_id for view in page.results], hidden)
        return replace(page, results=tuple([await self._told(view, hidden, blind) for view in page.results]))

    def parts(self, request: web.Request, parts: Sequence[Part]) -> tuple[Part, ...]:
        """The parts of the service, with reasons that quote no event where something of events is hidden.

        Nobody knows any more which events a reason is of.
        """
        return tuple(replace(part, reason=part.public) for part in parts) if self.of(request) else tuple(parts)

    async def problems(self, request: web.Request, page: ProblemPage) -> ProblemPage:
        hidden = self.of(request)
        if not hidden:
            return page
        shown = [
            replace(found, key=replace(found.key, detail=await self._seen(found.key.detail, found.event_id, hidden)))
            for found in page.problems
        ]
        return replace(page, problems=tuple(shown))

    async def require_open(self, request: web.Request, event_id: str) -> None:
        """Refuse who may not see all of a stored event, since a rule of theirs could show it. Raises NotAllowed."""
        hidden = self.of(request)
        if hidden and (source := (await self._archive.load(event_id)).source) in hidden:
            raise NotAllowed(
                f"values of events of {source} are hidden (`hide`), and a rule could show them: send a delivery, or "
                "use a token with the role admin"
            )

    def require_no_guess(self, request: web.Request, aim: ReplayAim) -> None:
        """Refuse a replay that would tell which hidden values there are, by a label's. Raises NotAllowed."""
        closed = self.of(request)
        if aim.label is None or not closed or (aim.source is not None and aim.source not in closed):
            return
        names = ", ".join([aim.source] if aim.source else sorted(closed))
        raise NotAllowed(
            f"events of {names} are found by no label, because some of their values are hidden (`hide`): name a source "
            "that hides none, or use a token with the role admin"
        )

    async def jobs(self, request: web.Request, jobs: Sequence[Job]) -> list[Job]:
        """Jobs without values of labels that may be hidden ones, and with faults as who asks may see them."""
        hidden = self.of(request)
        return [await self._job(job, hidden) for job in jobs] if hidden else list(jobs)

    @asynccontextmanager
    async def refusing(self, request: web.Request, any_id: str) -> AsyncIterator[None]:
        """Mask why something cannot be done with an event, or a dispatch, which may quote its values."""
        try:
            yield
        except Conflict as error:
            if not (hidden := self.of(request)) or str(error).endswith(f"was {ERASED}"):
                raise
            event = (await self._archive.event(any_id)).event
            raise Conflict(await self._quoting(str(error), event, hidden)) from None

    async def trial(self, request: web.Request, event_id: str, trial: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the rules would do with a stored event."""
        hidden = self.of(request)
        if not hidden:
            return trial
        event = await self._archive.load(event_id)
        paths = hidden.get(event.source)
        if not paths:
            return trial
        return await self._aside.run(lambda: mask_trial(trial, _mask_of(event, paths), paths))

    def tried(self, request: web.Request, trial: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the rules would do with what the caller has written, which the ledger would tell to have been seen.

        That holds for any source: sources may share a rule, and a rule that is tried may have the name of another.
        """
        return unasked(trial) if self.of(request) else trial

    async def explained(self, request: web.Request, event: Event, explained: Mapping[str, Any]) -> Mapping[str, Any]:
        """Why each rule made a chat of a stored event or did not."""
        paths = self.of(request).get(event.source)
        if not paths:
            return explained
        return await self._aside.run(lambda: mask_explained(explained, _mask_of(event, paths), paths))

    async def rejected(self, request: web.Request, views: list[RejectionView]) -> list[RejectionView]:
        hidden = self.of(request)
        return [
            replace(view, rejection=replace(view.rejection, headers=await self._headers(view.rejection, hidden)))
            for view in views
        ]

    async def dead(self, request: web.Request, page: DeadPage) -> DeadPage:
        """An error may quote the message, of which nobody knows what its hidden values are."""
        hidden = self.of(request)
        letters = [
            replace(letter, headers=await self._headers(letter, hidden), error=MASK)
            if letter.source in hidden
            else letter
            for letter in page.letters
        ]
        return replace(page, letters=tuple(letters))

    async def _masked(self, event_id: str, paths: Sequence[str], show: Callable[[Mask], Shown]) -> Shown:
        """What `show` makes with the mask of a stored event."""
        try:
            event = await self._archive.load(event_id)
        except (NotFound, Conflict):  # it was pruned meanwhile, or cannot be decrypted
            return show(Blind())
        return await self._aside.run(lambda: show(_mask_of(event, paths)))

    async def _headers(self, record: Rejection | DeadLetter, hidden: Hidden) -> Mapping[str, str]:
        """The headers of what never became an event: only their names tell what is hidden."""
        headers, paths = record.headers, hidden.get(record.source)
        return headers if not paths else await self._aside.run(lambda: Mask(paths, None, headers).headers(headers))

    async def _seen(self, detail: str | None, event_id: str | None, hidden: Hidden) -> str | None:
        """The detail of a problem, which may be rendered from its events, of which this is one."""
        if detail is None or event_id is None:
            return detail
        try:
            event = await self._archive.load(event_id)
        except (NotFound, Conflict):
            return MASK
        return await self._quoting(detail, event, hidden)

    async def _quoting(self, text: str, event: Event, hidden: Hidden) -> str:
        """A text that may quote an event, or why that could not be read."""
        if not (paths := hidden.get(event.source)):
            return text
        if event.unreadable is not None and (quoted := f"({event.unreadable})") in text:
            return text.replace(quoted, f"({MASK})")
        return await self._aside.run(lambda: _mask_of(event, paths).text(text))

    async def _job(self, job: Job, hidden: Hidden) -> Job:
        aim = job.aim
        if aim.label is not None and (aim.source is None or aim.source in hidden):
            aim = replace(aim, label=(aim.label[0], MASK))
        return replace(job, aim=aim, fault=await self._seen(job.fault, job.fault_event, hidden))

    async def _gathering(self, dispatch_ids: Sequence[str | None], hidden: Hidden) -> Gathering:
        """The dispatches that may be made of several events of which something is hidden."""
        ids = [each for each in dispatch_ids if each is not None]
        found = await self._archive.gathering(ids) if ids and hidden else {}
        return {
            each for each, globs in found.items() if any(fnmatchcase(name, glob) for name in hidden for glob in globs)
        }

    async def _told(self, view: ResultView, hidden: Hidden, blind: Gathering) -> ResultView:
        if view.result.dispatch_id in blind:
            return _result_view(view, Blind())
        paths = hidden.get(view.result.source)
        if paths:
            return await self._masked(view.result.event_id, paths, partial(_result_view, view))
        return replace(view, result=await self._result(view.result, hidden, blind))

    async def _result(self, result: Result, hidden: Hidden, blind: Gathering) -> Result:
        if result.dispatch_id in blind:
            return _result(result, Blind())
        if result.type in _OF_PROBLEMS:
            example = result.data.get("example") or {}
            seen = await self._seen(result.data.get("detail"), example.get("eventId"), hidden)
            return replace(result, data={**result.data, "detail": seen})
        paths = hidden.get(result.source)
        return await self._masked(result.event_id, paths, partial(_result, result)) if paths else result


def _mask_of(event: Event, paths: Sequence[str]) -> Mask:
    """Of an event that could not be read nobody knows what its hidden values are."""
    return Blind() if event.unreadable is not None else Mask(paths, event.data, event.headers)


def _named(record: Found, mask: Mask) -> Found:
    """With the parts that both an event and its line in a list have."""
    return replace(
        record,
        external_id=mask.optional(record.external_id),
        type=mask.optional(record.type),
        subject=mask.optional(record.subject),
    )


def _event_view(view: EventView, mask: Mask, blind: Gathering) -> EventView:
    return replace(_named(view, mask), dispatches=_dispatches(view.dispatches, mask, blind))


def _dispatches(views: Sequence[DispatchView], mask: Mask | None, blind: Gathering) -> tuple[DispatchView, ...]:
    """Dispatches, of which those in `blind` may have values of any event; without a mask the others are shown."""
    return tuple(_dispatch(view, _one_of(view.id, mask, blind)) for view in views)


def _one_of(dispatch_id: str | None, mask: Mask | None, blind: Gathering) -> Mask | None:
    return Blind() if dispatch_id in blind else mask


def _detail(detail: EventDetail, mask: Mask, blind: Gathering) -> EventDetail:
    event = replace(
        _named(detail.event, mask),
        raw=b"",
        data=mask.data(detail.event.data),
        headers=mask.headers(detail.event.headers),
        origin=mask.optional(detail.event.origin),
        traceparent=mask.optional(detail.event.traceparent),
        correlation_id=mask.optional(detail.event.correlation_id),
        reply_to=mask.optional(detail.event.reply_to),
        unreadable=mask.optional(detail.event.unreadable),
    )
    skips = tuple(Skip(skip.rule, skip.why, mask.value(skip.detail)) for skip in detail.skips)
    return replace(_made_of(detail, mask, blind), event=event, skips=skips)


def _made_of(detail: EventDetail, mask: Mask | None, blind: Gathering) -> EventDetail:
    """With what was made of the event masked, which may be made of other events too."""
    return replace(
        detail,
        dispatches=_dispatches(detail.dispatches, mask, blind),
        attempts=tuple(_attempt(view, _one_of(view.dispatch_id, mask, blind)) for view in detail.attempts),
        results=tuple(_result_view(view, _one_of(view.result.dispatch_id, mask, blind)) for view in detail.results),
    )


def _dispatch(view: DispatchView, mask: Mask | None) -> DispatchView:
    if mask is None:
        return view
    return replace(
        view,
        name=mask.optional(view.name),
        body=None if view.body is None else mask.json(view.body),
        message=mask.optional(view.message),
        follow=mask.optional(view.follow),
        failure=_failure(view.failure, mask),
        held=view.held and replace(view.held, key=mask.optional(view.held.key)),
        labels=view.labels and Labels(mask.value(view.labels.values), mask.value(view.labels.left_out)),
        outlet=view.outlet and replace(view.outlet, routing_key=mask.optional(view.outlet.routing_key)),
    )


def _failure(failure: Failure | None, mask: Mask) -> Failure | None:
    return failure and replace(failure, message=mask.text(failure.message))


def _attempt(view: AttemptView, mask: Mask | None) -> AttemptView:
    return view if mask is None else replace(view, failure=_failure(view.failure, mask))


def _result_view(view: ResultView, mask: Mask | None) -> ResultView:
    if mask is None:
        return view
    pending = {mask.text(name) if name else name: mask.optional(error) for name, error in view.pending.items()}
    undeliverable = tuple(mask.text(name) if name else name for name in view.undeliverable)
    return replace(view, result=_result(view.result, mask), pending=pending, undeliverable=undeliverable)


def _result(result: Result, mask: Mask) -> Result:
    data = {key: value if key in _OURS else mask.value(value) for key, value in result.data.items()}
    if isinstance(error := result.data.get("error"), Mapping):
        data["error"] = {**error, "message": mask.value(error.get("message"))}
    return replace(
        result,
        data=data,
        routing_key=mask.optional(result.routing_key),
        correlation_id=mask.optional(result.correlation_id),
        reply_to=mask.optional(result.reply_to),
        traceparent=mask.optional(result.traceparent),
    )
