"""Decodes a verified request into events. Pure, except for log lines."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from relay import moment
from relay.errors import Permanent, Rejected
from relay.hooks.hook import Hook
from relay.hooks.kept import clean, keep
from relay.model import Event, Ids, frozen, remade
from relay.rules import scope_of
from relay.schemes import NOTHING, Cloud, Evidence, Identity, Request, Scheme
from relay.schemes.cloudevents import CloudEvent, decode_binary, decode_structured, http_attributes
from relay.schemes.document import Unreadable, encode, find_id
from relay.schemes.inflate import inflate
from relay.schemes.phrase import text_of
from relay.schemes.reading import Form, Reading
from relay.telemetry import adopt, get_log

log = get_log()

_LARGEST_BATCH: Final = 1_000
_JSON: Final = "application/json"


@frozen
class _Item:
    identity: Identity
    data: Any
    raw: bytes
    origin: str | None = None
    traceparent: str | None = None
    verbatim: bool = False
    content_type: str | None = None
    unreadable: str | None = None
    bad_time: str | None = None


def decode(hook: Hook, scheme: Scheme, request: Request, *, ids: Ids, evidence: Evidence = NOTHING) -> list[Event]:
    """The events of a verified request: several for a batch, none for an empty batch.

    `evidence` is the result of the verification. A signed body that cannot be read becomes one event with `unreadable`
    set and the original bytes. An item of a signed batch that cannot be read becomes such an event too, and the others
    are accepted. Raises `Rejected`: 400 for a body that cannot be read when the scheme proves nothing, 413 when it
    inflates to more than `request.most` bytes, 415 for an unsupported content type.
    """
    content_type = clean(request.headers.first("content-type") or "")
    try:
        items = _find(scheme, request, content_type)
        alone = len(items) == 1 or not scheme.proves
        return [
            _identify_item(
                hook, scheme, evidence, item, _event(hook, scheme, request, item, content_type, ids()), at, alone=alone
            )
            for at, item in enumerate(items)
        ]
    except Unreadable as error:
        if not scheme.proves:
            raise Rejected(str(error), status=400, reason=error.reason, hint="the sender's body is malformed") from None
        raw, why = _without_credentials(scheme, request, str(error))
        kept = _Item(scheme.identify(request, None), None, raw)
        event = remade(_event(hook, scheme, request, kept, content_type, ids()), unreadable=why)
        return [remade(event, external_id=evidence.id or event.external_id, repeat=scheme.repeat(evidence, 0))]


def _identify_item(
    hook: Hook, scheme: Scheme, evidence: Evidence, item: _Item, event: Event, at: int, *, alone: bool
) -> Event:
    """The event of `_identify`. If that fails for one of several items, only this item is unreadable."""
    if item.unreadable is None:
        try:
            return _identify(hook, scheme, evidence, item, event, at)
        except Unreadable as error:
            if alone:
                raise
            item = remade(item, unreadable=f"item {at} of the batch (counted from 0): {error}")
    return remade(event, data=None, unreadable=item.unreadable, repeat=scheme.repeat(evidence, at), verbatim=False)


def _identify(hook: Hook, scheme: Scheme, evidence: Evidence, item: _Item, event: Event, at: int) -> Event:
    """The event with its signed id and the fields of the operator's templates.

    If the id is not signed, the event also gets the signature as a second identity (`repeat`), so that the same signed
    body with another id is recognised.
    """
    if evidence.id is not None:
        event = remade(event, external_id=clean(evidence.id), remember=None)
    # A header that precedes the id's place could be added or removed by an attacker who sends the request again.
    signed = evidence.id is not None or all(evidence.covers[: item.identity.place + 1])
    if hook.event:
        event = _apply(hook, event)
        signed = evidence.covers[-1:] == (True,) and not hook.loose if "id" in hook.event else signed
    if evidence.signed is None or (signed and event.external_id is not None and "any" not in scheme.bodies):
        return event
    twins = "id" not in hook.event and scheme.has_twins(event.type)
    return remade(event, repeat=scheme.repeat(evidence, at), twins=twins)


def _without_credentials(scheme: Scheme, request: Request, why: str) -> tuple[bytes, str]:
    """The bytes to keep of an unreadable body, and why it is unreadable. A body may hold credentials: then none."""
    if not scheme.cuts:
        return request.body, why
    try:
        reading = scheme.read(request)
    except (Unreadable, Rejected):
        reading = None
    if reading is None or reading.form in {Form.CLOUD, Form.CLOUDS} or "ce-specversion" in request.headers:
        return b"", f"{why}; its body is not kept, because it may contain a credential"
    data, cut = scheme.clean(reading.data)
    return (_dump(data) if cut else request.body), why


def _find(scheme: Scheme, request: Request, content_type: str) -> list[_Item]:
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
    return [_Item(scheme.identify(request, data), data, reading.raw, verbatim=reading.verbatim)]


def _cloud_form(scheme: Scheme, reading: Reading) -> Form | None:
    """Whether a body is a CloudEvent or a batch of them.

    The content type decides when the proof covers it as well as the body, otherwise the body itself.
    """
    if scheme.cloud is Cloud.HEADERS:
        return reading.form
    if scheme.cloud is Cloud.NO or not reading.data:
        return None
    items = reading.data if isinstance(reading.data, list) else [reading.data]
    if not all(isinstance(item, dict) and "specversion" in item for item in items):
        return None
    return Form.CLOUDS if items is reading.data else Form.CLOUD


def _as_sent(scheme: Scheme, reading: Reading) -> list[Any] | None:
    """The original items of a batch, if the scheme had to correct them."""
    if reading.sent is None or reading.sent is reading.data:
        return None
    return scheme.items(scheme.clean(reading.sent)[0])


def _item(scheme: Scheme, request: Request, item: Any, raw: bytes) -> _Item:
    if not isinstance(item, dict):
        raise Unreadable("batch_item", "it is not a JSON object")
    return _whole(scheme, request, item, raw)


def _whole(scheme: Scheme, request: Request, item: Any, raw: bytes) -> _Item:
    """An item of a batch, or an event without its credentials. Its own bytes are kept, not those of the request."""
    verbatim = raw == _dump(item)
    return _Item(scheme.identify(request, item), item, raw, verbatim=verbatim, content_type=_JSON)


def _binary(scheme: Scheme, request: Request, content_type: str) -> _Item:
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
    scheme: Scheme, items: list[Any], read: Callable[[Any, bytes], _Item], sent: list[Any] | None
) -> list[_Item]:
    """The items of a batch, as they are read; an item that cannot be is kept as such where the scheme proves something.

    `sent` are the items before corrections, if any were made.
    """
    decoded = []
    for at, item in enumerate(items):
        raw = _dump(item if sent is None else sent[at])
        try:
            decoded.append(read(item, raw))
        except Unreadable as error:
            why = f"item {at} of the batch (counted from 0) is wrong: {error}"
            if not scheme.proves:
                raise Rejected(
                    f"{why}; nothing of the batch was accepted",
                    status=400,
                    reason="batch_item",
                    hint="the sender's item is malformed",
                ) from None
            decoded.append(_bad_item(scheme, raw, why))
    return decoded


def _bad_item(scheme: Scheme, raw: bytes, why: str) -> _Item:
    """An item that cannot be read, identified by its hash. Its bytes are not kept if they may contain a credential."""
    identity = Identity(f"sha256:{hashlib.sha256(raw).hexdigest()}", hashed=True)
    if scheme.cuts:
        raw, why = b"", f"{why}; it is not kept, because it may contain a credential"
    return _Item(identity, None, raw, content_type=_JSON, unreadable=why)


def _structured(scheme: Scheme, envelope: Any, raw: bytes) -> _Item:
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


def _cloud(cloud: CloudEvent, data: Any, raw: bytes) -> _Item:
    """The item of a CloudEvent. `data` and `raw` are without credentials."""
    identity = Identity(find_id(cloud.id), cloud.type, cloud.subject, cloud.time)
    return _Item(identity, data, raw, cloud.source, cloud.traceparent, bad_time=cloud.bad_time)


def _event(hook: Hook, scheme: Scheme, request: Request, item: _Item, content_type: str, id: str) -> Event:  # noqa: A002 - the model's name
    identity = item.identity
    if item.bad_time is not None:
        log.warning("event.timeless", source=hook.name, external_id=identity.external_id, what=f"time: {item.bad_time}")
    traceparent, caller = adopt(request.headers.first("traceparent") or item.traceparent)
    return Event(
        id,
        hook.name,
        clean(identity.external_id),
        clean(identity.type),
        item.data,
        item.raw,
        hashlib.sha256(item.raw).digest(),
        request.received_at,
        clean(item.origin),
        clean(identity.subject),
        identity.time,
        item.content_type or content_type or _JSON,
        keep(request.headers, scheme.secret_headers),
        traceparent,
        verbatim=item.verbatim,
        remember=scheme.vendor.delivery.within if identity.hashed else None,
        caller=caller,
    )


def _apply(hook: Hook, event: Event) -> Event:
    """The event with the values of the operator's templates. An empty value keeps the sender's."""
    scope = scope_of(event, hook.vars)
    try:
        values = {key: template.find(scope) for key, template in hook.event.items()}
    except Permanent as error:
        raise Unreadable("template", f"a template under `event` of source {hook.name} failed: {error}") from None
    name = find_id(clean(text_of(values.get("id"))))
    return remade(
        event,
        external_id=name or event.external_id,
        remember=None if name else event.remember,
        type=clean(text_of(values.get("type"))) or event.type,
        subject=clean(text_of(values.get("subject"))) or event.subject,
        time=moment.find(values.get("time")) or event.time,
    )


def _dump(value: Any) -> bytes:
    return encode(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
