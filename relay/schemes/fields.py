"""Where an event stands in a body, and what its sender says of it."""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from relay import moment
from relay.schemes import phrase
from relay.schemes.document import find_id
from relay.schemes.entry import Fields
from relay.schemes.request import Request
from relay.schemes.spec import Identity

Find = Callable[[phrase.Scope], str | None]


class FieldPlaces:
    """A vendor's `event` block, compiled. `hashed` gives an event without an id the hash of its canonical body."""

    def __init__(self, form: Fields, options: Mapping[str, str], *, hashed: bool) -> None:
        self._each = [path.split(".")[1:] for path in form.each]
        self._carry = form.carry
        self._options = options
        self._hashed = hashed
        self._without = [path.split(".")[1:] for path in form.without]
        self._id = [
            (phrase.place(name.at), [(phrase.condition(text), wanted) for text, wanted in name.when.items()], name.hash)
            for name in form.id
        ]
        self._type = _first(form.type)
        self._subject = _first(form.subject)
        self._time = _first(form.time)

    def items(self, data: Any) -> list[Any]:
        """The events in a body; the body itself where it is no batch. Raises ValueError saying what is wrong.

        In a list of lists, what an item has beside its known lists is an event of its own, so that nothing of a batch
        is lost.
        """
        lists = [*self._plain_lists(data), *self._inner_lists(data)]
        if not lists:
            return [data]
        return [around | item if isinstance(item, dict) else item for around, items in lists for item in items]

    def _plain_lists(self, data: Any) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """The list at each path without `*`, with what is carried into its items."""
        for path in self._each:
            if "*" in path:
                continue
            items = phrase.dig(data, path) if path else data
            if isinstance(items, list):
                yield self._carried(data, {}), items
            elif items is not None and path:
                raise ValueError(f"{'.'.join(['data', *path])} is not a list of events")

    def _inner_lists(self, data: Any) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """The lists at each path with one `*`, in the order of what they stand in."""
        tails: dict[tuple[str, ...], list[list[str]]] = {}
        for path in self._each:
            if "*" in path:
                at = path.index("*")
                tails.setdefault(tuple(path[:at]), []).append(path[at + 1 :])
        for outer, inner_paths in tails.items():
            around = self._carried(data, {})
            entries = phrase.dig(data, list(outer))
            for entry in entries if isinstance(entries, list) else ():
                list_paths = [path for path in inner_paths if isinstance(phrase.dig(entry, path), list)]
                if not list_paths:
                    yield around, [entry]
                    continue
                carried = self._carried(entry, around)
                yield from ((carried, phrase.dig(entry, path)) for path in list_paths)
                if rest := self._rest(entry, list_paths):
                    yield carried, [rest]

    def _rest(self, entry: dict[str, Any], known: Iterable[list[str]]) -> dict[str, Any]:
        """What an item has beside its known lists, what is carried into their items, and nulls."""
        rest = {key: value for key, value in entry.items() if key not in self._carry and value is not None}
        for head, *inner in known:
            if inner:
                rest[head] = copy.deepcopy(rest[head])
                remove(rest, [head, *inner])
            else:
                del rest[head]
        return rest

    def _carried(self, data: Any, around: dict[str, Any]) -> dict[str, Any]:
        return around | {key: data[key] for key in self._carry if key in data} if isinstance(data, dict) else around

    def identify(self, request: Request, item: Any) -> Identity:
        """What the sender says of one event; never raises."""
        scope = phrase.Scope(request, options=self._options, item=item, whole=False)
        name, place, hashed = self._name(scope, item)
        return Identity(name, self._type(scope), self._subject(scope), moment.find(self._time(scope)), place, hashed)

    def _name(self, scope: phrase.Scope, item: Any) -> tuple[str | None, int, bool]:
        """The event's id, where it was found, and whether it is a hash of the body."""
        for place, (find, when, hashed) in enumerate(self._id):
            if (name := find_id(find(scope))) and all(phrase.fits(one(scope), wanted) for one, wanted in when):
                return name, place, hashed
        content_hash = self._hash(item) if self._hashed else None
        return content_hash, len(self._id), content_hash is not None

    def _hash(self, item: Any) -> str | None:
        if item is None:
            return None
        if self._without:
            item = copy.deepcopy(item)
            for path in self._without:
                remove(item, path)
        canonical = json.dumps(item, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode('utf-8', 'surrogatepass')).hexdigest()}"


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
