"""From a message to an event (DESIGN, "AMQP in"). Pure."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final

from relay.broker import UNREADABLE, Delivery
from relay.consumer.body import inflate, is_json, media_type
from relay.consumer.source import Input
from relay.errors import Permanent
from relay.model import Event
from relay.rules import scope_of
from relay.schemes import moment
from relay.schemes.cloudevents import STRUCTURED, CloudEvent, decode_binary, decode_structured
from relay.schemes.document import Unreadable, parse
from relay.telemetry import child_of, get_log

log = get_log()

_PREFIXES: Final = ("cloudevents:", "cloudevents_", "ce-", "ce_")
"""The AMQP binding of CloudEvents names the first two (https://github.com/cloudevents/spec, amqp-protocol-binding.md);
bridges from HTTP keep its `ce-`."""
_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
_EXCLUSIVE: Final = ("amq.gen-*", "amq.rabbitmq.reply-to*")
"""Queues that the broker has named for one connection, and RabbitMQ's direct reply-to: nobody else reads them."""
_MOST_HEADERS: Final = 64
_MOST_TEXT: Final = 8 << 10


def decode(delivery: Delivery, source: Input, *, id: str, now: int) -> Event:  # noqa: A002 - the word of the model
    """The event that a message holds. Raises Unreadable when it never can be read, `Heavy` (see `relay.effort`)."""
    headers = _texts(delivery)
    raw = inflate(delivery.body, delivery.content_encoding, source.most)
    media, charset = media_type(delivery.content_type)
    cloud = _cloud(headers, media, raw, charset)
    event = Event(
        id=id,
        source=source.name,
        external_id=(cloud and cloud.id) or delivery.message_id or None,
        type=(cloud and cloud.type) or delivery.type or delivery.routing_key or None,
        data=cloud.data if cloud else _json(media, raw, charset),
        raw=raw,
        digest=hashlib.sha256(raw).digest(),
        received_at=now,
        origin=(cloud and cloud.source) or delivery.app_id or None,
        subject=cloud.subject if cloud else None,
        time=cloud.time if cloud else delivery.timestamp,
        content_type=delivery.content_type or "application/json",
        headers=_keep(headers),
        traceparent=child_of(headers.get("traceparent") or (cloud.traceparent if cloud else None)),
        correlation_id=delivery.correlation_id or None,
        reply_to=_reply_to(delivery, source),
        redelivered=delivery.redelivered,
        verbatim=cloud is None and charset in {None, "utf-8"} and not raw.startswith(BOM_UTF8),
    )
    _require_storable(event)
    return _apply(source, event) if source.event else event


def keep(delivery: Delivery, source: Input, *, id: str, now: int, error: str) -> Event:  # noqa: A002 - as above
    """The event of a message that cannot be read: its bytes as they came, and why. It has no id: it replaces none."""
    return Event(
        id=id,
        source=source.name,
        external_id=None,
        type=None,
        data=None,
        raw=delivery.body,
        digest=hashlib.sha256(delivery.body).digest(),
        received_at=now,
        content_type=(delivery.content_type or "").replace("\0", ""),
        headers=_keep({} if UNREADABLE in delivery.headers else _texts(delivery)),
        traceparent=child_of(None),
        unreadable=error.replace("\0", ""),
    )


def _reply_to(delivery: Delivery, source: Input) -> str | None:
    """Where results go as well. Whoever publishes names any queue of the broker: only those that are allowed count."""
    name = delivery.reply_to
    if not name or not source.reply:
        return None
    allowed = source.reply if isinstance(source.reply, tuple) else _EXCLUSIVE
    if any(fnmatchcase(name, glob) for glob in allowed):
        return name
    log.warning(
        "reply.refused", source=source.name, reply_to=name[:200], what="`reply` of the source lets none go there"
    )
    return None


def _cloud(headers: Mapping[str, str], media: str, raw: bytes, charset: str | None) -> CloudEvent | None:
    """The CloudEvent that the message is, structured or binary; None when it is none."""
    try:
        if media == STRUCTURED:
            return decode_structured(_json(media, raw, charset))
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


def _json(media: str, raw: bytes, charset: str | None) -> Any:
    if not is_json(media):
        raise Unreadable("content_type", f"content type {media!r} is not read here: send JSON or a CloudEvent")
    return parse(raw, charset or "utf-8")


def _texts(delivery: Delivery) -> dict[str, str]:
    """The headers with lower-case names and texts as values."""
    if UNREADABLE in delivery.headers:
        raise Unreadable("properties", f"the message's properties are broken: {delivery.headers[UNREADABLE]}")
    return {name.lower(): _text(value) for name, value in delivery.headers.items()}


def _require_storable(event: Event) -> None:
    texts = (event.external_id, event.type, event.subject, event.origin, event.correlation_id, event.reply_to)
    if any(text and "\0" in text for text in (*texts, event.content_type)):
        raise Unreadable("characters", "a property of the message has the character NUL, which no database holds")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, default=str)


def _keep(headers: Mapping[str, str]) -> dict[str, str]:
    """What is kept of the headers: no credentials, nothing that a database refuses, and not without bounds."""
    kept: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        size += len(name) + len(value)
        if len(kept) == _MOST_HEADERS or size > _MOST_TEXT:
            break
        if name not in _SECRET:
            kept[name.replace("\0", "")] = value.replace("\0", "")
    return kept


def _apply(source: Input, event: Event) -> Event:
    """The event with what the operator's templates say; one that finds nothing leaves what the message says."""
    scope = scope_of(event, source.vars)
    try:
        told = {key: template.find(scope) for key, template in source.event.items()}
    except Permanent as error:
        raise Unreadable("template", f"a template under `event` of source {source.name} failed: {error}") from None
    return replace(
        event,
        external_id=_label(told.get("id")) or event.external_id,
        type=_label(told.get("type")) or event.type,
        subject=_label(told.get("subject")) or event.subject,
        time=moment.find(told.get("time")) or event.time,
    )


def _label(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str)
