"""Checks that involve several keys: what is missing, what contradicts, what would surprise."""

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

from relay import rules, schemes
from relay.config.bounds import check_bounds, check_reserved
from relay.config.broker import check_broker_urls
from relay.config.cases import check_tests
from relay.config.caution import check_encryption, check_secrets, check_surroundings, check_workspace
from relay.config.database import check_database
from relay.config.draft import Draft
from relay.config.fault import near
from relay.config.identity import check_certificates
from relay.config.source import AmqpSource, WebhookSource
from relay.config.tree import Branch, Leaf, Path, find
from relay.mask import parse_path
from relay.model import LOCAL, STRANGER, TOKEN
from relay.rules.check import Known, inspect_template
from relay.units import show
from relay.written.kinds import Unset
from relay.written.reference import Opaque

_LISTENERS: Final = ("hooks", "health", "ops")
_GLOB: Final = frozenset("*?[")
_WITHOUT_TLS: Final = (
    ("broker", "amqp://", "nothing is encrypted; write amqps:// into broker.url"),
    ("ledger", "sqlite://", "it is for PostgreSQL; leave it out"),
)

_LEAST_TIMEOUT = 100
_NO_BROKER: Final = "has no effect without a broker: results are at GET /api/results"


def check(draft: Draft) -> None:
    """Add to `draft` every fault and warning that no single value shows."""
    for run_check in _CHECKS:
        run_check(draft)


def _check_listeners(draft: Draft) -> None:
    http = draft.blocks["http"]
    if http is None:
        return
    known = all(draft.whole("http", key) for key in ("ops", "token", "tokens"))
    if known and http.token is None and not http.tokens and not http.ops.loopback:
        message = f"{http.ops} can be reached from other machines: set http.token, or bind 127.0.0.1:{http.ops.port}"
        draft.fault(("http", "ops"), message)
    _check_tokens(draft)
    for number, key in enumerate(_LISTENERS):
        for other in _LISTENERS[:number]:
            clash = getattr(http, key).clashes(getattr(http, other))
            if clash and draft.whole("http", key) and draft.whole("http", other):
                draft.fault(("http", key), f"listens at the same address as http.{other}: give it its own port")


def _check_tokens(draft: Draft) -> None:
    """Each token has one name. The names that acts have without `http.tokens` are taken."""
    http = draft.blocks["http"]
    seen: dict[str, str] = {} if http.token is None else {http.token.reveal(): "http.token"}
    for name, entry in http.tokens.items():
        path: Path = ("http", "tokens", name)
        if name in {TOKEN, LOCAL, STRANGER}:
            what = "is who acts by http.token, without a token, or by one that is not known"
            draft.fault(path, f"{name!r} {what}: choose another name")
        first = seen.setdefault(entry.token.reveal(), f"http.tokens.{name}")
        if first != f"http.tokens.{name}" and not isinstance(entry.token, Unset):
            draft.fault((*path, "token"), f"is the token of {first} too: who acts could not be told, make another one")


def _check_durations(draft: Draft) -> None:
    _check_order(draft, "ledger", "retain", "remember", "a pruned event would be accepted again")
    _check_order(draft, "retry", "first", "cap", "no wait is longer than the cap")
    ledger = draft.blocks["ledger"]
    if ledger is not None and draft.whole("ledger", "timeout") and ledger.timeout < _LEAST_TIMEOUT:
        message = f"is shorter than {_LEAST_TIMEOUT}ms, which a healthy database may take: write for example 3s"
        draft.fault(("ledger", "timeout"), message)


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
            draft.fault(path, "reads a queue, but no broker is configured: add the block `broker` with a url")
        if results is not None and source.queue == results.queue and draft.whole(*path, "queue"):
            draft.fault(
                (*path, "queue"),
                "is the queue of the results (results.queue): name another, or Relay reads its own results",
            )
    if not present and isinstance(find(draft.root, ("results",)), Branch):
        draft.fault(("results",), _NO_BROKER, warn=True)
    for number, rule in draft.rules.items():
        if not present and getattr(rule, "result", None) is not None:
            draft.fault(("rules", number, "result"), _NO_BROKER, warn=True)


def _check_tls(draft: Draft) -> None:
    """Warn of authorities for a connection without TLS: who names them expects it to be encrypted."""
    for name, plain, advice in _WITHOUT_TLS:
        block = draft.blocks.get(name)
        whole = draft.whole(name, "url") and not draft.opaque(name, "url")
        if block is not None and block.ca_file is not None and whole and block.url.startswith(plain):
            draft.fault((name, "ca_file"), f"has no effect with {plain}: {advice}", warn=True)


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
        allowed_keys = f"its own keys are {', '.join(sorted(allowed))}" if allowed else "it has no keys of its own"
        draft.fault((*path, key), f"is not a key of scheme {source.scheme}: {allowed_keys}")
    if not foreign and draft.whole(*path) and not draft.opaque(*path):
        _try_scheme(draft, path, source)
    entry = schemes.vendor(source.scheme)
    if not source.live and not entry.learns and (not entry.secret_required or source.scheme == "none"):
        draft.fault(path, "does not verify senders: anybody who can reach it can post events", warn=True)


def _near(scheme: str) -> str:
    """A similar scheme, or where to find the list: there are too many schemes to list them here."""
    close = near(scheme, schemes.names())
    return close if close.startswith("did you mean") else "`relay sources` lists them"


def _try_scheme(draft: Draft, path: Path, source: WebhookSource) -> None:
    try:
        scheme = schemes.build(source.spec())
        if source.keep_rejected is not None and not scheme.keepable:
            message = "is not possible with this scheme: its requests contain a credential, which is never stored"
            draft.fault((*path, "keep_rejected"), message)
        if source.replay is not None and not scheme.signs:
            message = f"has no effect: scheme {source.scheme} does not sign bodies; leave it out"
            draft.fault((*path, "replay"), message, warn=True)
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
            draft.fault(
                ("sources", name), f"has no event.id: {only} can be recognised when it is sent again", warn=True
            )
        elif source.event.id is None and (window := _repeat_window(draft, name, source)):
            draft.fault(
                ("sources", name),
                "has no event.id: you write its bodies, and of two events with equal bodies within "
                f"{show(window)} the second is dropped as a duplicate; put a unique id into each body, and name it, "
                'for example event: {id: "{{ data.event_id }}"}',
                warn=True,
            )


def _identified(draft: Draft, name: str, source: AmqpSource | WebhookSource) -> str | None:
    """The only kind of event that has an id in this source; None when all events have one."""
    if isinstance(source, AmqpSource):
        return "only a message with a CloudEvents id or message_id"
    if draft.opaque("sources", name, "scheme") or source.scheme not in schemes.names():
        return None
    if schemes.vendor(source.scheme).identifies:
        return None
    if source.scheme == "hmac" and source.cloudevents is not True:
        return "with scheme hmac only a request with the same bytes and signature"
    return f"with scheme {source.scheme} only a CloudEvent"


def _repeat_window(draft: Draft, name: str, source: AmqpSource | WebhookSource) -> int | None:
    """The milliseconds in which an equal body counts as a repeat, where the operator writes the bodies; else None."""
    if (
        isinstance(source, AmqpSource)
        or draft.opaque("sources", name, "scheme")
        or source.scheme not in schemes.names()
    ):
        return None
    entry = schemes.vendor(source.scheme)
    versions = source.options().get("versions") or entry.accepts or (source.scheme,)
    entries = [schemes.vendor(version) for version in versions if version in schemes.names()]
    return next((entry.delivery.within for entry in entries if entry.own_body), None)


def _check_hidden(draft: Draft) -> None:
    for name, source in draft.sources.items():
        for number, path in enumerate(source.hide):
            try:
                parse_path(path)
            except ValueError as error:
                _report(draft, ("sources", name, "hide", number), rules.Fault((), 1, str(error)))


def _check_template(draft: Draft, path: Path, text: str) -> None:
    for line, message in inspect_template(text, Known(vars=draft.vars)):
        _report(draft, path, rules.Fault((), line, message))


def _report(draft: Draft, path: Path, fault: rules.Fault) -> None:
    node = find(draft.root, path)
    if node is None and isinstance(path[-1], int):  # one text in place of a list
        path = path[:-1]
        node = find(draft.root, path)
    if isinstance(node, Leaf) and isinstance(node.value, Opaque):
        draft.fault(path, f"cannot be checked while a variable in it is not set ({fault.message}): set the variable")
    elif draft.whole(*path):
        draft.fault(path, fault.message, line=fault.line, warn=fault.warn)


def check_rules(draft: Draft) -> None:
    """Every fault of the rules that can be known without an event."""
    checker = rules.RuleChecker(draft.vars)
    for number, rule in draft.rules.items():
        path: Path = ("rules", number)
        for fault in checker.check(rule.spec):
            _report(draft, (*path, *fault.path), fault)
        _check_sources(draft, path, rule.source, "this rule never matches")
        delay = getattr(rule, "delay", None)
        for place, unless in enumerate(() if delay is None else delay.unless):
            _check_sources(draft, (*path, "delay", "unless", place), unless.source, "this cancels nothing")


def _check_sources(draft: Draft, path: Path, wanted: Sequence[str], otherwise: str) -> None:
    """That each of these names or globs is that of a source. `path` is the block in which they stand."""
    node = find(draft.root, ("sources",))
    names = node.entries if isinstance(node, Branch) else {}
    if all(source in names for source in wanted):
        return
    if ("sources",) in draft.broken or draft.opaque(*path, "source"):
        return
    for number, source in enumerate(wanted):
        listed = (*path, "source", number)
        place = listed if find(draft.root, listed) is not None else (*path, "source")
        if any(fnmatchcase(name, source) for name in names):
            continue
        if _GLOB & set(source):
            draft.fault(place, f"{source!r} matches no source, so that {otherwise}: name a source", warn=True)
        else:
            draft.fault(place, f"{source!r} is not a source: {near(source, names)}")


def _check_presence(draft: Draft) -> None:
    if draft.whole("sources") and not draft.sources:
        draft.fault(("sources",), "is empty, so that no event can arrive: add a webhook or a queue", warn=True)
    if draft.whole("rules") and not draft.rules:
        draft.fault(("rules",), "is empty, so that every event is kept as unmatched: add a rule", warn=True)


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
    _check_hidden,
    check_rules,
    check_tests,
    _check_presence,
)
