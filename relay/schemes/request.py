"""A request as a scheme judges it: raw, and read only by a scheme that must look inside to judge."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

from multidict import CIMultiDict, CIMultiDictProxy

from relay.errors import Rejected
from relay.schemes.entry import Body
from relay.schemes.reading import Media, Reading, read, settle

T = TypeVar("T")


class Headers(Mapping[str, tuple[str, ...]]):
    """Header names in lower case, each with all its values in order; looking a name up ignores case.

    Made of pairs, or of what aiohttp read, which is not copied.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: "CIMultiDictProxy[str] | Iterable[tuple[str, str]]" = ()) -> None:
        self._values = pairs if isinstance(pairs, CIMultiDictProxy) else CIMultiDict(pairs)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        """From a plain mapping, one value per name."""
        return cls(values.items())

    def __getitem__(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.getall(name))

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([name.lower() for name in self._values]))

    def __len__(self) -> int:
        return len({name.lower() for name in self._values})

    def names(self) -> tuple[str, ...] | None:
        """The names as they were written; None where one is repeated."""
        names = tuple(self._values)
        return names if len(names) == len(self._values) else None

    def pick(self, names: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The value of each name, which is there once, under another name for it."""
        values = self._values
        return {other: values[name] for name, other in names}

    def flat(self) -> list[tuple[str, str]]:
        """One pair per value, as an HTTP client takes them."""
        return [(name.lower(), value) for name, value in self._values.items()]

    def all(self, name: str) -> tuple[str, ...]:
        """The values of `name`, in order."""
        return tuple(self._values.getall(name, ()))

    def first(self, name: str) -> str | None:
        """The first value of `name`, None when there is none."""
        return self._values.get(name)

    def sole(self, name: str, what: str) -> str:
        """The one value of `name`, without white space around it.

        Raises `Rejected` (401): `<what>_missing` when there is none or an empty one, `header_repeated` when there are
        several, because then sender and receiver may each mean another one.
        """
        values = self._values.getall(name, ())
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


class _Known:
    """What was read of a body, by name: what it gave, or the error that it raised. `of` says of which body, and how."""

    __slots__ = ("found", "of")

    def __init__(self, of: tuple[object, ...]) -> None:
        self.of = of
        self.found: dict[str, Any] = {}

    def fits(self, of: tuple[object, ...]) -> bool:
        return all(mine is theirs for mine, theirs in zip(self.of, of, strict=True))


@dataclass(slots=True)
class Request:
    """A request. `body` is what came over the wire (not inflated), `url` the one that the sender used.

    `received_at` is milliseconds since the epoch. `most` bounds what the body may inflate to, in bytes. `lists` are
    the XML elements that are lists however many there are. `bodies` are the forms that the sender's bodies have.
    What was read of a body is known to those, too, that are made of this request with the same body and headers.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    received_at: int
    most: int = 1 << 20
    lists: frozenset[str] = frozenset()
    bodies: tuple[Body, ...] = ("any",)
    known: _Known | None = field(default=None, repr=False, compare=False)

    def read(self) -> Reading:
        """The body, inflated and parsed, once. Raises `Unreadable`, `Rejected` and `Heavy` as `reading.read` says."""
        return self.once("body", self._read)

    def once(self, name: str, find: Callable[[], T]) -> T:
        """What `find` gives or raises of this body, found once under `name`; only `Heavy` is asked for anew."""
        of = (self.body, self.headers, self.lists, self.bodies)
        known = self.known
        if known is None or not known.fits(of):
            known = self.known = _Known(of)
        if name not in known.found:
            try:
                known.found[name] = find()
            except (ValueError, Rejected) as error:
                known.found[name] = error
        found = known.found[name]
        if isinstance(found, ValueError | Rejected):
            raise found.with_traceback(None)
        return found  # type: ignore[no-any-return] # it is what `find` gave

    def _read(self) -> Reading:
        kind = self.headers.first("content-type") or ""
        encoding = self.headers.first("content-encoding")
        return read(self.body, kind, encoding, most=self.most, lists=self.lists, bodies=self.bodies)

    def media(self) -> Media:
        """How its body, which is not compressed, is read: as the sender's own form, whatever the headers say."""
        return settle(self.body, self.headers.first("content-type") or "", self.bodies)

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
