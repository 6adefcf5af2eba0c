"""From a verified request to its events. Pure."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from relay import moment
from relay.errors import Permanent, Rejected
from relay.hooks.hook import Hook
from relay.hooks.kept import clean, keep
from relay.model import Event, Ids, frozen
from relay.rules import scope_of
from relay.schemes import NOTHING, Cloud, Evidence, Identity, Request, Scheme
from relay.schemes.cloudevents import CloudEvent, decode_binary, decode_structured, http_attributes
from relay.schemes.document import Unreadable, encode
from relay.schemes.inflate import inflate
from relay.schemes.phrase import text_of
from relay.schemes.reading import Form, Reading
from relay.telemetry import child_of

_LARGEST_BATCH: Final = 1_000
_JSON: Final = "application/json"


@frozen
class _Found:
    identity: Identity
    data: Any
    raw: bytes
    origin: str | None = None
    traceparent: str | None = None
    verbatim: bool = False
    content_type: str | None = None
    unreadable: str | None = None


def decode(hook: Hook, scheme: Scheme, request: Request, *, ids: Ids, evidence: Evidence = NOTHING) -> list[Event]:
    """The events of one verified request: several for a batch, none for a batch that is empty. `evidence` is what its
    verification gave.

    What is signed but cannot be read becomes one event with `unreadable` set and the bytes as they came. Raises
    So does an item of a batch, and the others are taken. Raises
    `Rejected`: 400 for what cannot be read where the scheme proves nothing, 413 when
    it inflates to more than `request.most` bytes, 415 for a content type that is not read here.
    """
    content_type = clean(request.headers.first("content-type") or "")
    try:
        found = _find(scheme, request, content_type)
        alone = len(found) == 1 or not scheme.proves
        return [
            _told_alone(
                hook, scheme, evidence, one, _event(hook, scheme, request, one, content_type, ids()), at, alone=alone
            )
            for at, one in enumerate(found)
        ]
    except Unreadable as error:
        if not scheme.proves:
            raise Rejected(str(error), status=400, reason=error.reason, hint="the sender's body is malformed") from None
        raw, why = _without_credentials(scheme, request, str(error))
        kept = _Found(scheme.identify(request, None), None, raw)
        event = replace(_event(hook, scheme, request, kept, content_type, ids()), unreadable=why)
        return [replace(event, external_id=evidence.id or event.external_id, repeat=scheme.repeat(evidence, 0))]


def _told_alone(
    hook: Hook, scheme: Scheme, evidence: Evidence, found: _Found, event: Event, at: int, *, alone: bool
) -> Event:
    """The event as `_told`; one of several that cannot be told is unreadable by itself."""
    if found.unreadable is None:
        try:
            return _told(hook, scheme, evidence, found, event, at)
        except Unreadable as error:
            if alone:
                raise
            found = replace(found, unreadable=f"item {at} of the batch (counted from 0): {error}")
    return replace(event, data=None, unreadable=found.unreadable, repeat=scheme.repeat(evidence, at), verbatim=False)


def _told(hook: Hook, scheme: Scheme, evidence: Evidence, found: _Found, event: Event, at: int) -> Event:
    """The event with the id that its proof signs and what the operator's templates say. One whose id nothing signs can
    be told by what was signed as well: sent again under another id it is the same."""
    if evidence.id is not None:
        event = replace(event, external_id=clean(evidence.id), remember=None)
    # A header in front of where the id stands could be put there, or be taken away, by whoever sends it again.
    signed = evidence.id is not None or all(evidence.covers[: found.identity.place + 1])
    if hook.event:
        event = _apply(hook, event)
        signed = evidence.covers[-1:] == (True,) and not hook.loose if "id" in hook.event else signed
    if evidence.signed is None or (signed and event.external_id is not None and "any" not in scheme.bodies):
        return event
    twins = "id" not in hook.event and scheme.has_twins(event.type)
    return replace(event, repeat=scheme.repeat(evidence, at), twins=twins)


def _without_credentials(scheme: Scheme, request: Request, why: str) -> tuple[bytes, str]:
    """What is kept of an unreadable body, and why it is: nothing of one with credentials that cannot be found."""
    if not scheme.cuts:
        return request.body, why
    try:
        reading = scheme.read(request)
    except (Unreadable, Rejected):
        reading = None
    if reading is None or reading.form in {Form.CLOUD, Form.CLOUDS} or "ce-specversion" in request.headers:
        return b"", f"{why}; its body is not kept, since it may hold a credential"
    data, cut = scheme.clean(reading.data)
    return (_dump(data) if cut else request.body), why


def _find(scheme: Scheme, request: Request, content_type: str) -> list[_Found]:
    if scheme.cloud is Cloud.HEADERS and "ce-specversion" in request.headers:
        return [_binary(scheme, request, content_type)]
    reading = scheme.read(request)
    form = _cloud_form(scheme, reading)
    if form is Form.CLOUDS:
        return _batch(
            scheme, _require_batch(reading.data), lambda item, raw: _structured(scheme, item, raw), reading.sent
        )
    if form is Form.CLOUD:
        return [_structured(scheme, reading.data, reading.raw)]
    data, cut = scheme.clean(reading.data)
    try:
        items = scheme.items(data)
    except ValueError as error:
        raise Unreadable("batch", f"the body is not what {scheme.vendor.name} sends: {error}") from None
    if len(items) != 1 or items[0] is not data:
        return _batch(
            scheme,
            _require_batch(items),
            lambda item, raw: _item(scheme, request, item, raw),
            _as_sent(scheme, reading),
        )
    if cut:
        return [_whole(scheme, request, data, _dump(data))]
    return [_Found(scheme.identify(request, data), data, reading.raw, verbatim=reading.verbatim)]


def _cloud_form(scheme: Scheme, reading: Reading) -> Form | None:
    """Whether a body is a CloudEvent or a batch of them: its content type says so where that is proved as well as the
    body, else the body itself."""
    if scheme.cloud is Cloud.HEADERS:
        return reading.form
    if scheme.cloud is Cloud.NO or not reading.data:
        return None
    items = reading.data if isinstance(reading.data, list) else [reading.data]
    if not all(isinstance(item, dict) and "specversion" in item for item in items):
        return None
    return Form.CLOUDS if items is reading.data else Form.CLOUD


def _as_sent(scheme: Scheme, reading: Reading) -> list[Any] | None:
    """The items of a batch as they came, where they had to be mended."""
    if reading.sent is None or reading.sent is reading.data:
        return None
    return scheme.items(scheme.clean(reading.sent)[0])


def _item(scheme: Scheme, request: Request, item: Any, raw: bytes) -> _Found:
    if not isinstance(item, dict):
        raise Unreadable("batch_item", "it is not a JSON object")
    return _whole(scheme, request, item, raw)


def _whole(scheme: Scheme, request: Request, item: Any, raw: bytes) -> _Found:
    """One event of a batch, or one without what was cut out: what is kept of it is itself."""
    verbatim = raw == _dump(item)
    return _Found(scheme.identify(request, item), item, raw, verbatim=verbatim, content_type=_JSON)


def _binary(scheme: Scheme, request: Request, content_type: str) -> _Found:
    attributes = http_attributes({name: clean(values[0]) for name, values in request.headers.items()}, content_type)
    raw = inflate(request.body, request.headers.first("content-encoding"), request.most)
    cloud = _read_cloud(lambda: decode_binary(attributes, raw))
    data, cut = scheme.clean(cloud.data)
    return _cloud(cloud, data, _dump(data)) if cut else _cloud(cloud, data, raw)


def _require_batch(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise Unreadable("cloudevent", "a batch of CloudEvents is a JSON array")
    if len(items) > _LARGEST_BATCH:
        raise Rejected(
            f"the batch has {len(items)} events; send at most {_LARGEST_BATCH} at once",
            status=413,
            reason="too_large",
            hint="make the sender's batches smaller",
        )
    return items


def _batch(
    scheme: Scheme, items: list[Any], read: Callable[[Any, bytes], _Found], sent: list[Any] | None = None
) -> list[_Found]:
    """Each item of a batch; `sent` are the items before they were mended. One that cannot be read is kept alone."""
    found = []
    for at, item in enumerate(items):
        raw = _dump(item if sent is None else sent[at])
        try:
            found.append(read(item, raw))
        except Unreadable as error:
            why = f"item {at} of the batch (counted from 0) is wrong: {error}"
            if not scheme.proves:
                raise Rejected(
                    f"{why}; nothing of the batch was taken",
                    status=400,
                    reason="batch_item",
                    hint="the sender's item is malformed",
                ) from None
            found.append(_bad_item(scheme, raw, why))
    return found


def _bad_item(scheme: Scheme, raw: bytes, why: str) -> _Found:
    """An item that cannot be read, known by its hash; nothing of one that may hold a credential."""
    identity = Identity(f"sha256:{hashlib.sha256(raw).hexdigest()}", hashed=True)
    kept, told = (b"", f"{why}; it is not kept, since it may hold a credential") if scheme.cuts else (raw, why)
    return _Found(identity, None, kept, content_type=_JSON, unreadable=told)


def _structured(scheme: Scheme, envelope: Any, raw: bytes) -> _Found:
    cloud = _read_cloud(lambda: decode_structured(envelope))
    data, cut = scheme.clean(cloud.data)
    if cut:
        raw = _dump({key: value for key, value in envelope.items() if key != "data_base64"} | {"data": data})
    return _cloud(cloud, data, raw)


def _read_cloud(read: Callable[[], CloudEvent]) -> CloudEvent:
    try:
        return read()
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("cloudevent", str(error)) from None


def _cloud(cloud: CloudEvent, data: Any, raw: bytes) -> _Found:
    """A CloudEvent with what is kept of its data."""
    identity = Identity(cloud.id, cloud.type, cloud.subject, cloud.time)
    return _Found(identity, data, raw, cloud.source, cloud.traceparent)


def _event(hook: Hook, scheme: Scheme, request: Request, found: _Found, content_type: str, id: str) -> Event:  # noqa: A002 - the word of the model
    identity = found.identity
    return Event(
        id,
        hook.name,
        clean(identity.external_id),
        clean(identity.type),
        found.data,
        found.raw,
        hashlib.sha256(found.raw).digest(),
        request.received_at,
        clean(found.origin),
        clean(identity.subject),
        identity.time,
        found.content_type or content_type or _JSON,
        keep(request.headers, scheme.secret_headers),
        child_of(request.headers.first("traceparent") or found.traceparent),
        verbatim=found.verbatim,
        remember=scheme.vendor.delivery.within if identity.hashed else None,
    )


def _apply(hook: Hook, event: Event) -> Event:
    """The event with what the operator's templates say; one that finds nothing leaves what the sender says."""
    scope = scope_of(event, hook.vars)
    try:
        told = {key: template.find(scope) for key, template in hook.event.items()}
    except Permanent as error:
        raise Unreadable("template", f"a template under `event` of source {hook.name} failed: {error}") from None
    name = clean(text_of(told.get("id")))
    return replace(
        event,
        external_id=name or event.external_id,
        remember=None if name else event.remember,
        type=clean(text_of(told.get("type"))) or event.type,
        subject=clean(text_of(told.get("subject"))) or event.subject,
        time=moment.find(told.get("time")) or event.time,
    )


def _dump(value: Any) -> bytes:
    return encode(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
