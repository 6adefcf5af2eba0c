"""From a verified request to its events. Pure."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from relay.errors import Permanent, Rejected
from relay.hooks import media
from relay.hooks.body import inflate
from relay.hooks.hook import Hook
from relay.hooks.kept import clean, keep
from relay.hooks.media import Form, Media
from relay.model import Event, Ids
from relay.rules import scope_of
from relay.schemes import Identity, Request, moment
from relay.schemes.cloudevents import CloudEvent, decode_binary, decode_structured, http_attributes
from relay.schemes.document import Unreadable, parse
from relay.schemes.phrase import text_of
from relay.telemetry import child_of

_LARGEST_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class _Found:
    identity: Identity
    data: Any
    raw: bytes
    origin: str | None = None
    traceparent: str | None = None
    verbatim: bool = False


def decode(hook: Hook, request: Request, *, most: int, ids: Ids) -> list[Event]:
    """The events of one verified request; several only for a batch of CloudEvents.

    What is signed but cannot be read becomes one event with `unreadable` set and the bytes as they came. Raises
    `Rejected`: 400 for what cannot be read where the scheme proves nothing and for a bad item of a batch, 413 when
    it inflates to more than `most` bytes, 415 for a content type that is not read here.
    """
    content_type = clean(request.headers.first("content-type") or "")
    form = media.read(content_type)
    if form.form is Form.FOREIGN and "ce-specversion" not in request.headers:
        raise Rejected(
            f"the content type {content_type[:80]!r} is not read here; send application/json",
            status=415,
            reason="content_type",
            hint="set the sender to JSON",
        )
    try:
        raw = inflate(request.body, request.headers.first("content-encoding"), most)
        found = _find(hook, request, raw, form, content_type)
        return [_apply(hook, _event(hook, request, one, content_type, ids())) for one in found]
    except Unreadable as error:
        if not hook.scheme.proves:
            raise Rejected(str(error), status=400, reason=error.reason, hint="the sender's body is malformed") from None
        kept = _Found(hook.scheme.identify(request, None), None, request.body)
        return [replace(_event(hook, request, kept, content_type, ids()), unreadable=str(error))]


def _find(hook: Hook, request: Request, raw: bytes, form: Media, content_type: str) -> list[_Found]:
    if form.form is Form.CLOUDS:
        return _batch(parse(raw, form.charset))
    if form.form is Form.CLOUD:
        return [_cloud(lambda: decode_structured(parse(raw, form.charset)), raw)]
    if "ce-specversion" in request.headers:
        attributes = http_attributes({name: clean(values[0]) for name, values in request.headers.items()}, content_type)
        return [_cloud(lambda: decode_binary(attributes, raw), raw)]
    data = parse(raw, form.charset)
    verbatim = form.charset == "utf-8" and not raw.startswith(BOM_UTF8)
    return [_Found(hook.scheme.identify(request, data), data, raw, verbatim=verbatim)]


def _batch(items: Any) -> list[_Found]:
    if not isinstance(items, list):
        raise Unreadable("cloudevent", "a batch of CloudEvents is a JSON array")
    if len(items) > _LARGEST_BATCH:
        raise Rejected(
            f"the batch has {len(items)} events; send at most {_LARGEST_BATCH} at once",
            status=413,
            reason="too_large",
            hint="make the sender's batches smaller",
        )
    return [_item(at, item) for at, item in enumerate(items)]


def _item(at: int, item: Any) -> _Found:
    raw = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        return _cloud(lambda: decode_structured(item), raw)
    except Unreadable as error:
        raise Rejected(
            f"item {at} of the batch (counted from 0) is wrong: {error}; nothing of the batch was taken",
            status=400,
            reason="batch_item",
            hint="the sender's item is malformed",
        ) from None


def _cloud(read: Callable[[], CloudEvent], raw: bytes) -> _Found:
    try:
        cloud = read()
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("cloudevent", str(error)) from None
    identity = Identity(cloud.id, cloud.type, cloud.subject, cloud.time)
    return _Found(identity, cloud.data, raw, cloud.source, cloud.traceparent)


def _event(hook: Hook, request: Request, found: _Found, content_type: str, id: str) -> Event:  # noqa: A002 - the word of the model
    identity = found.identity
    return Event(
        id=id,
        source=hook.name,
        external_id=_clean(identity.external_id),
        type=_clean(identity.type),
        data=found.data,
        raw=found.raw,
        digest=hashlib.sha256(found.raw).digest(),
        received_at=request.received_at,
        origin=_clean(found.origin),
        subject=_clean(identity.subject),
        time=identity.time,
        content_type=content_type or "application/json",
        headers=keep(request.headers, hook.scheme.secret_headers),
        traceparent=child_of(request.headers.first("traceparent") or found.traceparent),
        verbatim=found.verbatim,
    )


def _apply(hook: Hook, event: Event) -> Event:
    """The event with what the operator's templates say; one that finds nothing leaves what the sender says."""
    if not hook.event:
        return event
    scope = scope_of(event, hook.vars)
    try:
        told = {key: template.find(scope) for key, template in hook.event.items()}
    except Permanent as error:
        raise Unreadable("template", f"a template under `event` of source {hook.name} failed: {error}") from None
    return replace(
        event,
        external_id=_clean(text_of(told.get("id"))) or event.external_id,
        type=_clean(text_of(told.get("type"))) or event.type,
        subject=_clean(text_of(told.get("subject"))) or event.subject,
        time=moment.find(told.get("time")) or event.time,
    )


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)
