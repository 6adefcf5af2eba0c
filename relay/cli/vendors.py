"""The configurations of `relay init`: the keys of every scheme, and for some a rule for their events."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.schemes.entry import Vendor


_NAME: Final = "{{ event.type | default('event', true) }} {{ event.subject | default('', true) }}"
_META: Final = ('eventId: "{{ event.external_id }}"',)


@dataclass(frozen=True, slots=True)
class First:
    """A first configuration.

    `lines` are the keys of the source in YAML. `type` (quoted, one or several) and `when` select events. `name` and
    `meta` belong to the chat. `setup` are the steps at the vendor's.
    """

    source: str
    lines: tuple[str, ...]
    setup: tuple[str, ...]
    type: str | None = None
    when: str | None = None
    name: str = _NAME
    meta: tuple[str, ...] = _META

    @property
    def queue(self) -> bool:
        """Whether the source is a queue."""
        return "type: amqp" in self.lines


@dataclass(frozen=True, slots=True)
class _Rule:
    type: str | None = None
    when: str | None = None
    name: str = _NAME
    meta: tuple[str, ...] = _META


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
    (
        "Publish JSON with a message_id, or CloudEvents, to the queue crm.events.",
        "event.id is only for messages without an id; with override: true it takes precedence over message_id.",
    ),
)


def names() -> list[str]:
    """The names that `relay init` accepts, sorted."""
    from relay.schemes import names as schemes

    return sorted({*schemes(), "rabbitmq"})


def first(vendor: str) -> First:
    """A first configuration for a scheme or for `rabbitmq`. Raises KeyError for other names."""
    from relay.schemes import vendor as entry_of

    if vendor == "rabbitmq":
        return RABBITMQ
    entry = entry_of(vendor)
    rule = _from_recipe(vendor)
    source = _NAMES.get(entry.category, vendor.partition("-")[0])
    return First(source, _lines(vendor, entry), _steps(entry), rule.type, rule.when, rule.name, rule.meta)


def _from_recipe(scheme: str) -> _Rule:
    """The first rule of the scheme's recipe. Without a recipe, or when its rule needs `vars`, a rule for all events."""
    from relay.cli.recipes import find_recipes

    for recipe in find_recipes().values():
        (source,) = recipe.document["sources"].values()
        rule = recipe.document["rules"][0]
        chat = rule["chat"]
        if source.get("scheme") == scheme and scheme not in _MORE and "vars." not in rule.get("when", ""):
            types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
            meta = tuple(f"{key}: {_quoted(value)}" for key, value in chat["trigger"]["meta"].items())
            type_ = _quoted(types[0]) if len(types) == 1 else f"[{', '.join(map(_quoted, types))}]"
            return _Rule(type_, _plain(rule.get("when")), chat["name"], meta)
    return _Rule()


def _plain(when: str | None) -> str | None:
    """A condition as YAML, quoted where YAML would read it differently."""
    if when is None or (when[0] not in "\"'[{" and ": " not in when and " #" not in when):
        return when
    return "'" + when.replace("'", "''") + "'"


def _quoted(text: str) -> str:
    """A text in YAML's double quotes, which are the same as in JSON."""
    return json.dumps(text, ensure_ascii=False)


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
