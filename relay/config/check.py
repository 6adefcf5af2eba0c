"""Checks that need more than one key: what belongs together, what contradicts, what would surprise."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final

from relay import rules, schemes
from relay.config.bounds import check_bounds, check_reserved
from relay.config.broker import check_broker_urls
from relay.config.caution import check_encryption, check_secrets, check_surroundings, check_workspace
from relay.config.database import check_database
from relay.config.draft import Draft
from relay.config.fault import near
from relay.config.fill import Opaque
from relay.config.identity import check_certificates
from relay.config.rule import Rule
from relay.config.source import AmqpSource, WebhookSource
from relay.config.tree import Branch, Leaf, Path, find
from relay.rules.check import Known, inspect_template
from relay.units import show

_LISTENERS: Final = ("hooks", "health", "ops")
_GLOB: Final = frozenset("*?[")
_WITHOUT_TLS: Final = (
    ("broker", "amqp://", "nothing is encrypted; write amqps:// into broker.url"),
    ("ledger", "sqlite://", "it is for PostgreSQL; leave it out"),
)

_LEAST_TIMEOUT = 100


def check(draft: Draft) -> None:
    """Adds to `draft` every fault and warning that single values do not show."""
    for look in _CHECKS:
        look(draft)


def _check_listeners(draft: Draft) -> None:
    http = draft.blocks["http"]
    if http is None:
        return
    if draft.whole("http", "ops") and draft.whole("http", "token") and http.token is None and not http.ops.loopback:
        told = f"{http.ops} can be reached from elsewhere: set http.token, or bind 127.0.0.1:{http.ops.port}"
        draft.fault(("http", "ops"), told)
    for number, key in enumerate(_LISTENERS):
        for other in _LISTENERS[:number]:
            same = getattr(http, key).clashes(getattr(http, other))
            if same and draft.whole("http", key) and draft.whole("http", other):
                draft.fault(("http", key), f"listens where http.{other} does: give it a port of its own")


def _check_durations(draft: Draft) -> None:
    _check_order(draft, "ledger", "retain", "remember", "a pruned event would come in again")
    _check_order(draft, "retry", "first", "cap", "no wait is longer than the cap")
    ledger = draft.blocks["ledger"]
    if ledger is not None and draft.whole("ledger", "timeout") and ledger.timeout < _LEAST_TIMEOUT:
        told = f"is shorter than {_LEAST_TIMEOUT}ms: a healthy database may take that long; write 3s or so"
        draft.fault(("ledger", "timeout"), told)


def _check_order(draft: Draft, block: str, less: str, more: str, why: str) -> None:
    values = draft.blocks[block]
    whole = draft.whole(block, less) and draft.whole(block, more)
    if values is not None and whole and getattr(values, more) < getattr(values, less):
        if find(draft.root, (block, more)) is not None:
            draft.fault((block, more), f"is shorter than {block}.{less}, but {why}: make it at least as long")
        else:
            draft.fault((block, less), f"is longer than {block}.{more} is by default, but {why}: set {more} as well")


def _check_broker(draft: Draft) -> None:
    present = draft.blocks.get("broker") is not None or not draft.whole("broker")
    queues = [(name, source) for name, source in draft.sources.items() if isinstance(source, AmqpSource)]
    results = draft.blocks["results"]
    for name, source in queues:
        path: Path = ("sources", name)
        if not present:
            draft.fault(path, "reads a queue, but there is no broker: add the block `broker` with its url")
        if results is not None and source.queue == results.queue and draft.whole(*path, "queue"):
            draft.fault((*path, "queue"), "is where results go (results.queue): Relay would read what it wrote")
    if not present and isinstance(find(draft.root, ("results",)), Branch):
        draft.fault(("results",), "has no effect without a broker: results are at GET /api/results", warn=True)


def _check_tls(draft: Draft) -> None:
    """Whoever names authorities believes that the connection is encrypted."""
    for name, plain, told in _WITHOUT_TLS:
        block = draft.blocks.get(name)
        whole = draft.whole(name, "url") and not draft.opaque(name, "url")
        if block is not None and block.ca_file is not None and whole and block.url.startswith(plain):
            draft.fault((name, "ca_file"), f"has no effect with {plain}: {told}", warn=True)


def _check_webhooks(draft: Draft) -> None:
    for name, source in draft.sources.items():
        if isinstance(source, WebhookSource) and draft.whole("sources", name, "scheme"):
            _check_webhook(draft, ("sources", name), source)


def _check_webhook(draft: Draft, path: Path, source: WebhookSource) -> None:
    if source.scheme not in schemes.names():
        if not draft.opaque(*path, "scheme"):
            draft.fault((*path, "scheme"), f"is not a scheme that Relay knows: {_near(source.scheme)}")
        return
    allowed = schemes.options(source.scheme)
    foreign = [key for key in source.options() if key not in allowed | schemes.SHARED]
    for key in foreign:
        told = f"the keys of its own are {', '.join(sorted(allowed))}" if allowed else "it has no keys of its own"
        draft.fault((*path, key), f"is not a key of scheme {source.scheme}: {told}")
    if not foreign and draft.whole(*path) and not draft.opaque(*path):
        _try_scheme(draft, path, source)
    entry = schemes.vendor(source.scheme)
    if not source.live and not entry.learns and (not entry.secret_required or source.scheme == "none"):
        draft.fault(path, "proves nothing: anybody who reaches it can post events", warn=True)


def _near(scheme: str) -> str:
    """The schemes are too many to be listed."""
    close = near(scheme, schemes.names())
    return close if close.startswith("did you mean") else "`relay sources` lists them"


def _try_scheme(draft: Draft, path: Path, source: WebhookSource) -> None:
    try:
        made = schemes.build(source.spec())
        if source.keep_rejected is not None and not made.keepable:
            told = "cannot be had with this scheme: its requests carry a credential, which is never stored"
            draft.fault((*path, "keep_rejected"), told)
        if source.replay is not None and not made.signs:
            told = (
                f"has no effect: scheme {source.scheme} signs nothing, so that nothing can be sent again but the token"
            )
            draft.fault((*path, "replay"), told, warn=True)
    except schemes.SchemeFault as fault:
        key = "secrets" if fault.key == "secret" and source.secrets else fault.key
        message = fault.message
        for secret in source.live:
            message = message.replace(secret.reveal(), "********")
        draft.fault((*path, key), message)


def _check_events(draft: Draft) -> None:
    for name, source in draft.sources.items():
        for key, text in source.event.texts().items():
            _check_template(draft, ("sources", name, "event", key), text)
        if source.event.id is None and (only := _identified(draft, name, source)):
            draft.fault(("sources", name), f"has no event.id: {only} can be told from its repeat", warn=True)
        elif source.event.id is None and (within := _known_for(draft, name, source)):
            draft.fault(
                ("sources", name),
                "has no event.id: its bodies are yours, and of two events with equal bodies within "
                f"{show(within)} the second is lost as a duplicate; give each body an id that changes, and name it, "
                'as event: {id: "{{ data.event_id }}"}',
                warn=True,
            )


def _identified(draft: Draft, name: str, source: AmqpSource | WebhookSource) -> str | None:
    """What alone has an id in this source; None when all of it has."""
    if isinstance(source, AmqpSource):
        return "only a message with a CloudEvents id or message_id"
    if draft.opaque("sources", name, "scheme") or source.scheme not in schemes.names():
        return None
    if schemes.vendor(source.scheme).identifies:
        return None
    if source.scheme == "hmac" and source.cloudevents is not True:
        return "with scheme hmac only what is signed alike, byte for byte,"
    return f"with scheme {source.scheme} only a CloudEvent"


def _known_for(draft: Draft, name: str, source: AmqpSource | WebhookSource) -> int | None:
    """For how many milliseconds an equal body is a repeat, where the operator writes the bodies; else None."""
    if (
        isinstance(source, AmqpSource)
        or draft.opaque("sources", name, "scheme")
        or source.scheme not in schemes.names()
    ):
        return None
    entry = schemes.vendor(source.scheme)
    taken = source.options().get("versions") or entry.accepts or (source.scheme,)
    mine = [schemes.vendor(one) for one in taken if one in schemes.names()]
    return next((one.delivery.within for one in mine if one.own_body), None)


def _check_template(draft: Draft, path: Path, text: str) -> None:
    for line, message in inspect_template(text, Known(vars=draft.vars)):
        _report(draft, path, rules.Fault((), line, message))


def _report(draft: Draft, path: Path, fault: rules.Fault) -> None:
    node = find(draft.root, path)
    if isinstance(node, Leaf) and isinstance(node.value, Opaque):
        draft.fault(path, f"cannot be read while a variable in it is not set ({fault.message}): write a default")
    elif draft.whole(*path):
        draft.fault(path, fault.message, line=fault.line)


def _check_rules(draft: Draft) -> None:
    for number, rule in draft.rules.items():
        path: Path = ("rules", number)
        for fault in rules.check_rule(rule.spec(), draft.vars):
            aimed = (*path, *fault.path)
            _report(draft, aimed, fault)
        _check_rule_sources(draft, path, rule)


def _check_rule_sources(draft: Draft, path: Path, rule: Rule) -> None:
    node = find(draft.root, ("sources",))
    names = node.entries if isinstance(node, Branch) else {}
    if ("sources",) in draft.broken or draft.opaque(*path, "source"):
        return
    for number, source in enumerate(rule.source):
        listed = (*path, "source", number)
        aimed = listed if find(draft.root, listed) is not None else (*path, "source")
        if any(fnmatchcase(name, source) for name in names):
            continue
        if _GLOB & set(source):
            draft.fault(aimed, f"{source!r} fits no source: this rule never matches", warn=True)
        else:
            draft.fault(aimed, f"{source!r} names no source: {near(source, names)}")


def _check_presence(draft: Draft) -> None:
    if draft.whole("sources") and not draft.sources:
        draft.fault(("sources",), "there are none: nothing can come in; add a webhook or a queue", warn=True)
    if draft.whole("rules") and not draft.rules:
        draft.fault(("rules",), "there are none: every event is kept as unmatched; add a rule", warn=True)


_CHECKS: Final[tuple[Callable[[Draft], Any], ...]] = (
    _check_listeners,
    _check_durations,
    check_bounds,
    check_reserved,
    _check_broker,
    _check_tls,
    check_broker_urls,
    check_certificates,
    check_database,
    check_encryption,
    check_secrets,
    check_surroundings,
    check_workspace,
    _check_webhooks,
    _check_events,
    _check_rules,
    _check_presence,
)
