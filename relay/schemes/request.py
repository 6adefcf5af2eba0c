"""A request as a scheme judges it: raw, and read only by a scheme that must look inside to judge."""

from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from relay.errors import Rejected
from relay.schemes.reading import Reading, read


class Headers(Mapping[str, tuple[str, ...]]):
    """Header names in lower case, each with all its values in order; looking a name up ignores case."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        flat = list(pairs)
        self._values: dict[str, tuple[str, ...]] = {name.lower(): (value,) for name, value in flat}
        if len(self._values) < len(flat):
            self._values = _gathered(flat)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """From a plain mapping, one value per name."""
        return cls(values.items())

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> ItemsView[str, tuple[str, ...]]:
        """As of any mapping; the dict's own, because every request goes through it."""
        return self._values.items()

    def pick(self, names: Iterable[str]) -> dict[str, str]:
        """The values of these names, which are there, in lower case; repeats joined by a comma."""
        values = self._values
        return {name: ", ".join(values[name]) for name in names}

    def flat(self) -> list[tuple[str, str]]:
        """One pair per value, as an HTTP client takes them."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def all(self, name: str) -> tuple[str, ...]:
        """The values of `name` (given in lower case), in order."""
        return self._values.get(name, ())

    def first(self, name: str) -> str | None:
        """The first value of `name` (given in lower case), None when there is none."""
        values = self._values.get(name)
        return values[0] if values else None

    def sole(self, name: str, what: str) -> str:
        """The one value of `name` (given in lower case), without white space around it.

        Raises `Rejected` (401): `<what>_missing` when there is none or an empty one, `header_repeated` when there are
        several, because then sender and receiver may each mean another one.
        """
        values = self._values.get(name, ())
        if len(values) > 1:
            raise Rejected(
                f"the header {name} is there {len(values)} times",
                status=401,
                reason="header_repeated",
                hint=f"something between the sender and here adds a second {name}",
            )
        value = values[0].strip() if values else ""
        if not value:
            raise Rejected(
                f"the header {name} is missing",
                status=401,
                reason=f"{what}_missing",
                hint=f"the sender does not sign, a proxy drops {name}, or the source has the wrong scheme",
            )
        return value


def _gathered(flat: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """All values of each name, where one is there several times."""
    values: dict[str, tuple[str, ...]] = {}
    for name, value in flat:
        key = name.lower()
        values[key] = (*values.get(key, ()), value)
    return values


@dataclass(slots=True)
class Request:
    """A request. `body` is what came over the wire (not inflated), `url` the one that the sender used.

    `received_at` is milliseconds since the epoch. `most` bounds what the body may inflate to, in bytes. `lists` are
    the XML elements that are lists however many there are.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    received_at: int
    most: int = 1 << 20
    lists: frozenset[str] = frozenset()
    _reading: Reading | None = field(default=None, init=False, repr=False, compare=False)

    def read(self) -> Reading:
        """The body, inflated and parsed, once. Raises `Unreadable` and `Rejected` as `reading.read` says."""
        if self._reading is None:
            kind = self.headers.first("content-type") or ""
            encoding = self.headers.first("content-encoding")
            self._reading = read(self.body, kind, encoding, most=self.most, lists=self.lists)
        return self._reading

    @property
    def data(self) -> Any:
        """The parsed body; None when it cannot be read."""
        try:
            return self.read().data
        except (ValueError, Rejected):
            return None

    @property
    def query(self) -> dict[str, str]:
        """The parameters in the URL, the first of each name; none where there are more than 100."""
        return dict(reversed(self._parameters()))

    def times(self, name: str) -> int:
        """How often a parameter is in the URL."""
        return sum(1 for one, _ in self._parameters() if one == name)

    def _parameters(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(urlsplit(self.url).query, keep_blank_values=True, max_num_fields=100)
        except ValueError:
            return []


def octets(text: str) -> bytes:
    """The bytes of a header value as they came over the wire; never raises (servers decode with surrogateescape)."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
