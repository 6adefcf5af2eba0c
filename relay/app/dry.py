"""The dry run: shows what the rules would do with a delivery. It verifies, stores and sends nothing."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from relay.app.clock import wall
from relay.app.inputs import make_hook, make_input
from relay.broker import Delivery
from relay.config import Rule, Settings, WebhookSource
from relay.config.fault import near
from relay.consumer import decode as decode_message
from relay.errors import NotFound
from relay.hooks import decode as decode_request
from relay.model import Event, Ids, RuleVersion, new_id
from relay.rules import Explanation, RuleSet, compile_rules, make_version
from relay.schemes import Headers, Request
from relay.schemes.inflate import too_large
from relay.units import iso


def make_rules(settings: Settings) -> RuleSet:
    """The configured rules, which were checked when they were loaded."""
    versions = [make_version(rule.name, rule.text, settings.vars) for rule in settings.rules]
    return RuleSet([rule.spec for rule in settings.rules], settings.vars, versions)


def one_rule(rule: Rule, vars: Mapping[str, Any]) -> RuleSet:  # noqa: A002 - the configuration's
    """One rule, compiled, by itself."""
    return compile_rules([rule.spec], vars)


@lru_cache(maxsize=32)
def rules_of(version: RuleVersion) -> RuleSet:
    """One rule as it was, compiled, with the constants that it named."""
    written = json.loads(version.text)
    constants = written.pop("vars", {})
    return compile_rules([Rule.model_validate(written).spec], constants, [version])


def dry_run(
    settings: Settings,
    source: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    ids: Ids = new_id,
    now: int | None = None,
) -> dict[str, Any]:
    """The events of a delivery and the verdict of every rule, ready for JSON. `now` is milliseconds since the epoch.

    Raises NotFound when the source is not configured, and Rejected or Unreadable when the delivery cannot be read.
    """
    events = read_delivery(settings, source, headers, body, ids, wall() if now is None else now)
    return try_events(events, make_rules(settings))


def try_events(events: Sequence[Event], rules: RuleSet) -> dict[str, Any]:
    """The same for events that were already read."""
    return {"events": [_try(event, rules) for event in events]}


def read_delivery(
    settings: Settings, name: str, headers: Mapping[str, str], body: bytes, ids: Ids, now: int
) -> Sequence[Event]:
    """The events of a delivery. Raises NotFound, Rejected, Unreadable as `dry_run` does."""
    if name not in settings.sources:
        raise NotFound(f"there is no source {name!r}: {near(name, settings.sources)}")
    source = settings.sources[name]
    if isinstance(source, WebhookSource):
        hook = make_hook(name, source, settings.vars)
        most, scheme = hook.bounds.body or settings.http.max_body, hook.scheme
        if len(body) > most:
            raise too_large(most)
        request = Request("POST", f"/hooks/{name}", Headers.of(headers), body, now, most, scheme.lists, scheme.bodies)
        return decode_request(hook, scheme.of(request), request, ids=ids)
    return [decode_message(_delivery(headers, body), make_input(name, source, settings.vars), id=ids(), now=now)]


def _delivery(headers: Mapping[str, str], body: bytes) -> Delivery:
    """A message built from headers: message-id, type, routing-key, content-type and the like become its properties."""
    properties = {name.lower(): value for name, value in headers.items()}
    return Delivery(
        tag=0,
        body=body,
        routing_key=properties.pop("routing-key", ""),
        content_type=properties.pop("content-type", None),
        content_encoding=properties.pop("content-encoding", None),
        message_id=properties.pop("message-id", None),
        correlation_id=properties.pop("correlation-id", None),
        reply_to=properties.pop("reply-to", None),
        type=properties.pop("type", None),
        app_id=properties.pop("app-id", None),
        headers=properties,  # what is left
    )


def _try(event: Event, rules: RuleSet) -> dict[str, Any]:
    verdicts = [] if event.unreadable is not None else rules.explain(event)
    return {"event": _show(event), "rules": [show_verdict(verdict) for verdict in verdicts]}


def _show(event: Event) -> dict[str, Any]:
    return {
        "source": event.source,
        "externalId": event.external_id,
        "type": event.type,
        "subject": event.subject,
        "time": None if event.time is None else iso(event.time),
        "unreadable": event.unreadable,
        "data": event.data,
    }


def show_verdict(verdict: Explanation) -> dict[str, Any]:
    """What one rule made of an event, ready for JSON."""
    rendered = verdict.rendered
    failure = rendered.failure if rendered else None
    return {
        "rule": verdict.rule,
        "matched": verdict.matched,
        "why": verdict.why,
        "reason": str(verdict.reason),
        "conditions": list(verdict.conditions),
        "keys": dict(verdict.keys),
        "skip": None if verdict.skip is None else verdict.skip.document(),
        "body": json.loads(rendered.body) if rendered and rendered.body else None,
        "message": rendered.message if rendered else None,
        "follow": rendered.follow if rendered else None,
        "failure": None if failure is None else {"code": failure.code, "message": failure.message},
    }
