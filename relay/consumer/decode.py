"""From a message to an event, as config/README.md says of queues. Pure, but for log lines."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, Final

from relay import moment
from relay.broker import UNREADABLE, Delivery, is_short
from relay.consumer.body import inflate, is_json, media_type
from relay.consumer.source import Input
from relay.errors import Permanent
from relay.model import DeadLetter, Event, remade
from relay.rules import scope_of
from relay.schemes.cloudevents import STRUCTURED, CloudEvent, decode_binary, decode_structured
from relay.schemes.document import Unreadable, find_id, mend, mend_text, read_json
from relay.schemes.inflate import charset_of
from relay.telemetry import adopt, child_of, get_log
from relay.units import iso

log = get_log()

_PREFIXES: Final = ("cloudevents:", "cloudevents_", "ce-", "ce_")
"""The AMQP binding of CloudEvents names the first two (https://github.com/cloudevents/spec, amqp-protocol-binding.md);
bridges from HTTP keep its `ce-`."""
_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
_EXCLUSIVE: Final = ("amq.gen-*", "amq.rabbitmq.reply-to*")
"""Queues that the broker has named for one connection, and RabbitMQ's direct reply-to: nobody else reads them."""
_PROPERTIES: Final = ("external_id", "type", "subject", "origin", "correlation_id", "reply_to", "content_type")
_MOST_HEADERS: Final = 64
_MOST_TEXT: Final = 8 << 10
_MOST_ERROR: Final = 500


def decode(delivery: Delivery, source: Input, *, id: str, now: int) -> Event:  # noqa: A002 - the word of the model
    """The event that a message holds.

    Raises Unreadable when the message can never be read, `Heavy` when a thread must read it (see `relay.effort`).
    """
    headers = _texts(delivery)
    raw = inflate(delivery.body, _coding(delivery, headers), source.most)
    media, charset = media_type(delivery.content_type)
    charset = charset or charset_of(delivery.content_encoding)
    cloud = _cloud(headers, media, raw, charset)
    _tell(delivery, source, cloud)
    sent, exact = (None, False) if cloud else _json(media, raw, charset)
    data = mend(sent)
    traceparent, caller = adopt(headers.get("traceparent") or (cloud.traceparent if cloud else None))
    event = Event(
        id=id,
        source=source.name,
        external_id=find_id(cloud.id if cloud else None) or find_id(delivery.message_id),
        type=(cloud and cloud.type) or delivery.type or delivery.routing_key or None,
        data=cloud.data if cloud else data,
        raw=raw,
        digest=hashlib.sha256(raw).digest(),
        received_at=now,
        origin=(cloud and cloud.source) or delivery.app_id or None,
        subject=cloud.subject if cloud else None,
        time=cloud.time if cloud else delivery.timestamp,
        content_type=delivery.content_type or "application/json",
        headers=_keep(headers),
        traceparent=traceparent,
        correlation_id=delivery.correlation_id or None,
        reply_to=_reply_to(delivery, source),
        redelivered=delivery.redelivered,
        session=delivery.session or None,
        delivery=delivery.tag if delivery.session else None,
        caller=caller,
        verbatim=exact and data is sent and charset in {None, "utf-8"} and not raw.startswith(BOM_UTF8),
    )
    event = _storable(event)
    # Without the routing key: it stands in for a type, and a template is better than it.
    stated: dict[str, Any] = {"external_id": event.external_id, "type": (cloud and cloud.type) or delivery.type}
    stated |= {"subject": event.subject, "time": event.time}
    return _apply(source, event, stated) if source.event else event


def _coding(delivery: Delivery, headers: Mapping[str, str]) -> str | None:
    """The content encoding. Celery names its compression in a header instead, and calls zlib's format gzip."""
    if headers.get("compression") == "application/x-gzip" and delivery.body.startswith((b"\x78", b"\x1f\x8b")):
        return "deflate"
    return delivery.content_encoding


def _tell(delivery: Delivery, source: Input, cloud: CloudEvent | None) -> None:
    """Log what was left out of a message; of a source that goes on like this one line a minute."""
    if delivery.dropped:
        what = f"left out, because they cannot be read: {', '.join(delivery.dropped)}"
        log.warning("message.trimmed", source=source.name, message_id=delivery.message_id, what=what)
    if cloud is not None and cloud.bad_time is not None:
        log.warning("event.timeless", source=source.name, external_id=cloud.id, what=f"time: {cloud.bad_time}")


def keep(delivery: Delivery, source: Input, *, id: str, now: int, error: str) -> Event:  # noqa: A002 - as above
    """An event with the bytes of a message that cannot be read, and the reason.

    It has no external id, so that the same message can still come in when it can be read.
    """
    return Event(
        id=id,
        source=source.name,
        external_id=None,
        type=None,
        data=None,
        raw=delivery.body,
        digest=hashlib.sha256(delivery.body).digest(),
        received_at=now,
        content_type=mend_text(delivery.content_type or ""),
        headers=_keep({} if UNREADABLE in delivery.headers else _texts(delivery)),
        traceparent=child_of(None),
        unreadable=mend_text(error),
    )


def describe(
    delivery: Delivery,
    source: Input,
    *,
    id: str,  # noqa: A002 - as above
    now: int,
    reason: str,
    error: str,
) -> DeadLetter:
    """The ledger's record of a message that goes to the dead letters. Nothing in it is refused by a database."""
    return DeadLetter(
        id=id,
        at=now,
        source=source.name,
        queue=source.queue,
        reason=reason,
        error=mend_text(error[:_MOST_ERROR]),
        routing_key=mend_text(delivery.routing_key),
        message_id=delivery.message_id and mend_text(delivery.message_id),
        type=delivery.type and mend_text(delivery.type),
        content_type=delivery.content_type and mend_text(delivery.content_type),
        headers=_keep({} if UNREADABLE in delivery.headers else _texts(delivery)),
        size=len(delivery.body),
        digest=hashlib.sha256(delivery.body).hexdigest(),
    )


def _reply_to(delivery: Delivery, source: Input) -> str | None:
    """The queue to which results go as well as to the exchange.

    A publisher can name any queue of the broker, so only the queues that the source allows are accepted. A name that
    has grown when it was read is no queue's.
    """
    name = mend_text(delivery.reply_to or "")
    if not name or not source.reply:
        return None
    allowed = source.reply if isinstance(source.reply, tuple) else _EXCLUSIVE
    what = "`reply` of the source lets none go there"
    if any(fnmatchcase(name, glob) for glob in allowed):
        if is_short(name):
            return name
        what = "no queue has such a name: it is not UTF-8 or has characters that cannot be stored"
    log.warning("reply.refused", source=source.name, reply_to=name[:200], what=what)
    return None


def _cloud(headers: Mapping[str, str], media: str, raw: bytes, charset: str | None) -> CloudEvent | None:
    """The message as a CloudEvent, structured or binary; None when it is not one. Raises Unreadable."""
    try:
        if media == STRUCTURED:
            return decode_structured(mend(_json(media, raw, charset)[0]))
        attributes = _attributes(headers)
        if "specversion" not in attributes:
            return None
        if media and is_json(media):
            attributes["datacontenttype"] = f"application/json; charset={charset or 'utf-8'}"
        elif media:
            attributes["datacontenttype"] = media
        return decode_binary(attributes, raw)
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("cloudevent", str(error)) from None


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name[len(prefix) :]: value for name, value in headers.items() for prefix in _PREFIXES if name.startswith(prefix)
    }


def _json(media: str, raw: bytes, charset: str | None) -> tuple[Any, bool]:
    if not is_json(media):
        raise Unreadable("content_type", f"content type {media!r} is not read here: send JSON or a CloudEvent")
    return read_json(raw, charset or "utf-8")


def _texts(delivery: Delivery) -> dict[str, str]:
    """The headers with lower-case names and texts as values; one without a value is no header.

    Raises Unreadable when the properties are broken.
    """
    if UNREADABLE in delivery.headers:
        raise Unreadable("properties", f"the message's properties are broken: {delivery.headers[UNREADABLE]}")
    return {name.lower(): _text(value) for name, value in delivery.headers.items() if value is not None}


def _storable(event: Event) -> Event:
    """The event with U+FFFD for each character of its properties that a database cannot store."""
    texts = {name: getattr(event, name) for name in _PROPERTIES}
    mended = {name: mend_text(text) for name, text in texts.items() if text}
    changed: dict[str, Any] = {name: text for name, text in mended.items() if text != texts[name]}
    return remade(event, **changed) if changed else event


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime | Decimal):
        return _plain(value)
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> str:
    """AMQP's types that JSON has not, as a text: a timestamp in RFC 3339."""
    return iso(int(value.timestamp() * 1_000)) if isinstance(value, datetime) else str(value)


def _keep(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are stored: no credentials, no character that a database refuses, at most 64 and 8 KiB."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        size += len(name) + len(value)
        if len(kept) == _MOST_HEADERS or size > _MOST_TEXT:
            break
        if name not in _SECRET:
            kept[mend_text(name)] = mend_text(value)
    return kept


def _apply(source: Input, event: Event, stated: Mapping[str, Any]) -> Event:
    """The event with the values of the operator's templates where the message states none.

    With `override` the templates win, and one without a value leaves what the message states. Raises Unreadable.
    """
    scope = scope_of(event, source.vars)
    try:
        rendered = {key: template.find(scope) for key, template in source.event.items()}
    except Permanent as error:
        raise Unreadable("template", f"a template under `event` of source {source.name} failed: {error}") from None
    values: dict[str, Any] = {
        "external_id": find_id(_label(rendered.get("id"))),
        "type": _label(rendered.get("type")),
        "subject": _label(rendered.get("subject")),
        "time": moment.find(rendered.get("time")),
    }
    kept = {} if source.override else stated
    changed: dict[str, Any] = {name: value for name, value in values.items() if value and not kept.get(name)}
    return remade(event, **changed)


def _label(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value and mend_text(value)
    return json.dumps(value, default=str)
