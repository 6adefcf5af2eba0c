"""Where an event stands in a body, and what its sender says of it."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from relay.schemes import moment, phrase
from relay.schemes.entry import Fields
from relay.schemes.request import Request
from relay.schemes.spec import Identity

Find = Callable[[phrase.Scope], str | None]


class Places:
    """A vendor's `event` block, compiled. `hashed` gives an event without an id the hash of its canonical body."""

    def __init__(self, form: Fields, options: Mapping[str, str], *, hashed: bool) -> None:
        self._each = [path.split(".")[1:] for path in form.each]
        self._carry = form.carry
        self._options = options
        self._hashed = hashed
        self._without = [path.split(".")[1:] for path in form.without]
        self._id = [phrase.place(text) for text in form.id]
        self._type = _first(form.type)
        self._subject = _first(form.subject)
        self._time = _first(form.time)

    def items(self, data: Any) -> list[Any]:
        """The events in a body; the body itself where it is no batch. Raises ValueError saying what is wrong."""
        lists = [found for path in self._each for found in self._lists(data, path, {})]
        if not lists:
            return [data]
        return [around | item if isinstance(item, dict) else item for around, items in lists for item in items]

    def _lists(self, data: Any, path: list[str], around: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Every list at a path, with what is carried into its items."""
        if isinstance(data, dict):
            around = around | {key: data[key] for key in self._carry if key in data}
        if "*" in path:
            at = path.index("*")
            outer = phrase.dig(data, path[:at])
            for inner in outer if isinstance(outer, list) else ():
                yield from self._lists(inner, path[at + 1 :], around)
            return
        found = phrase.dig(data, path) if path else data
        if isinstance(found, list):
            yield around, found
        elif found is not None and path:
            raise ValueError(f"{'.'.join(['data', *path])} is not a list of events")

    def identify(self, request: Request, item: Any) -> Identity:
        """What the sender says of one event; never raises."""
        scope = phrase.Scope(request, options=self._options, item=item, whole=False)
        name, place = self._name(scope, item)
        return Identity(name, self._type(scope), self._subject(scope), moment.find(self._time(scope)), place)

    def _name(self, scope: phrase.Scope, item: Any) -> tuple[str | None, int]:
        """The event's id, and where it was found."""
        for place, find in enumerate(self._id):
            if name := find(scope):
                return name, place
        return self._hash(item) if self._hashed else None, len(self._id)

    def _hash(self, item: Any) -> str | None:
        if item is None:
            return None
        if self._without:
            item = copy.deepcopy(item)
            for path in self._without:
                remove(item, path)
        canonical = json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def remove(data: Any, path: list[str]) -> bool:
    """Take a value out of a tree, in place; `*` is every item. Whether anything was there."""
    key, *rest = path
    if key == "*":
        gone = [remove(item, rest) for item in data] if isinstance(data, list) and rest else []
        return True in gone
    if not isinstance(data, dict) or key not in data:
        return False
    if rest:
        return remove(data[key], rest)
    del data[key]
    return True


def _first(texts: Iterable[str]) -> Find:
    finders = [phrase.place(text) for text in texts]
    if len(finders) == 1:
        return finders[0]

    def find_first(scope: phrase.Scope) -> str | None:
        for find in finders:
            if value := find(scope):
                return value
        return None

    return find_first
