"""What `relay init` writes: for every scheme what it needs, and for some a first rule that fits their events."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.schemes.entry import Vendor


_NAME: Final = "{{ event.type | default('event', true) }} {{ event.subject | default('', true) }}"
_META: Final = ('eventId: "{{ event.external_id }}"',)


@dataclass(frozen=True, slots=True)
class First:
    """A first configuration.

    `lines` are the source's keys in YAML; `type` and `when` choose events, `name` and `meta` are the chat's. `setup`
    is what is to be done at the vendor's, step by step.
    """

    source: str
    lines: tuple[str, ...]
    setup: tuple[str, ...]
    type: str | None = None
    when: str | None = None
    name: str = _NAME
    meta: tuple[str, ...] = _META


@dataclass(frozen=True, slots=True)
class _Rule:
    type: str | None = None
    when: str | None = None
    name: str = _NAME
    meta: tuple[str, ...] = _META


_RULES: Final = {
    "zendesk": _Rule(
        "zen:event-type:ticket.*",
        'data.detail.priority | lower in ["high", "urgent"]',
        "Ticket #{{ data.detail.id }}: {{ data.detail.subject }}",
        ('ticketId: "{{ data.detail.id }}"',),
    ),
    "github": _Rule(
        "issues.opened",
        None,
        "Issue #{{ data.issue.number }}: {{ data.issue.title }}",
        ('issue: "{{ data.issue.html_url }}"',),
    ),
}
_NAMES: Final = {"crm": "crm", "helpdesk": "helpdesk", "generic": "inbox"}
_BODY: Final = 'event: {id: "{{ data.id }}", type: "{{ data.type }}"}'
_MORE: Final = {
    "hmac": (
        "header: X-Signature",
        "algorithm: sha256",
        "encoding: hex",
        'prefix: "sha256="',
        'content: "{{ body }}"',
        _BODY,
    ),
    "bearer": (_BODY,),
    "basic": ("username: relay", _BODY),
    "none": (_BODY,),
}
RABBITMQ: Final = First(
    "crm-bus",
    ("type: amqp", "queue: crm.events", 'event: {id: "{{ data.id }}"}'),
    ("Publish JSON with a message_id, or CloudEvents, to the queue crm.events.",),
)


def names() -> list[str]:
    """Whoever `relay init` knows, in order."""
    from relay.schemes import names as schemes

    return sorted({*schemes(), "rabbitmq"})


def first(vendor: str) -> First:
    """A first configuration for a scheme, or for `rabbitmq`. Raises KeyError for anybody else."""
    from relay.schemes import vendor as entry_of

    if vendor == "rabbitmq":
        return RABBITMQ
    entry = entry_of(vendor)
    rule = _RULES.get(vendor, _Rule())
    source = _NAMES.get(entry.category, vendor.partition("-")[0])
    return First(source, _lines(vendor, entry), _steps(entry), rule.type, rule.when, rule.name, rule.meta)


def _lines(scheme: str, entry: "Vendor") -> tuple[str, ...]:
    variable = scheme.upper().replace("-", "_")
    lines = ["type: webhook", f"scheme: {scheme}"]
    if entry.secret and not entry.learns:
        lines.append(f"secret: ${{{variable}_SECRET}}{_comment(entry.secret)}")
    for key, option in entry.options.items():
        if option.required and scheme not in _MORE:
            lines.append(f"{key}: ${{{variable}_{key.upper()}}}{_comment(option.says)}")
    return (*lines, *_MORE.get(scheme, ()))


def _comment(text: str) -> str:
    return f"  # {text}"


def _steps(entry: "Vendor") -> tuple[str, ...]:
    return (*entry.setup, *(f"Note: {note}" for note in entry.notes))
