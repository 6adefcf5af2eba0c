"""Personal data in texts: e-mail addresses, telephone numbers, numbers of payment cards, IBANs.

- `email`: an address whose domain has two labels and more.
- `phone`: an international number (`+` or `00`, 8 to 15 digits), a national one that begins with 0 (9 to 13 digits), or
  a North American one with its separators, as (415) 555-2671.
- `card`: 13 to 19 digits, alone or in up to five groups, whose last is right by Luhn's formula. Of 13 digits only
  Visa's, which begin with 4: a time in milliseconds has as many.
- `iban`: an IBAN whose check digits are right (ISO 13616), alone or in groups.

The time grows with the text only, and what is found or may be a number is counted over all that one rule renders.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_uppercase
from typing import Any, Final, Literal

import re2
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError

Kind = Literal["email", "phone", "card", "iban"]
Span = tuple[int, int, str]
"""Begin, end and kind."""

_EMAIL: Final = re2.compile(
    r"[\pL\pN!#$%&'*+/=?^_`{|}~-]+(?:\.[\pL\pN!#$%&'*+/=?^_`{|}~-]+)*@(?:[\pL\pN](?:[\pL\pN-]*[\pL\pN])?\.)+[\pL][\pL\pN-]*[\pL\pN]"
)
_BLANKS: Final = "".join(map(chr, (0x20, 0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
"""All of Unicode's but tabs and line breaks: between digits, pages and word processors write ones that do not break."""
_BETWEEN: Final = f"{_BLANKS}\u2010\u2011\u2012\u2013-"
"""Blanks and hyphens, for a class of a pattern: the last `-` is no range."""
_GAP: Final = rf"[./(){_BETWEEN}]{{0,2}}"
_PHONE: Final = re2.compile(
    rf"(?:\+|\b00){_GAP}[1-9](?:{_GAP}[0-9]){{6,14}}\b"
    rf"|(?:\b|\()0[1-9]?(?:{_GAP}[0-9]){{7,11}}\b"
    rf"|(?:\b1[.{_BETWEEN}])?(?:\([2-9][0-9]{{2}}\)[{_BLANKS}]?|\b[2-9][0-9]{{2}}[.{_BETWEEN}])"
    rf"[2-9][0-9]{{2}}[.{_BETWEEN}][0-9]{{4}}\b"
)
_GROUPS: Final = re.compile(rf"\b[0-9]{{1,19}}(?:[{_BETWEEN}][0-9]{{1,19}})*\b", re.ASCII)
_GROUP: Final = re.compile(r"[0-9]+")
_IBAN: Final = re2.compile(r"\b[A-Za-z]{2}[0-9]{2}")
_SHORTEST: Final = 6
"""Characters of the shortest text in which any of them may be: an address as a@b.cd."""
_MAY_HOLD: Final = re.compile(r"[@0-9]")
"""In most texts, as the keys of a body, there is nothing to look for."""
_CARD_DIGITS: Final = range(13, 20)
_PHONE_DIGITS: Final = range(8, 16)
_IBAN_SIZES: Final = range(34, 14, -1)
_MOST_GROUPS: Final = 5
"""Of digits in the number of a card, as 4-4-4-4-3."""
_MOST_WORK: Final = 20_000
"""The most candidates in all that one rule renders of an event: some 0.3 s."""
_COSTS: Final[Mapping[Kind, int]] = {"email": 1, "phone": 1, "card": 1, "iban": 10}
"""What one of each kind counts for."""
_SIGNS: Final = {ord(sign): str(int(sign, 36)) for sign in ascii_uppercase}
"""Letters as ISO 13616 counts them."""
_PLACE_OF_IDS: Final = frozenset({"type"})
"""Texts of a chat that are Cargo's own words."""


class Tries:
    """How many candidates may still be looked at in what one rule renders of an event."""

    def __init__(self) -> None:
        self._left = _MOST_WORK

    def count(self, kind: Kind) -> None:
        """Raises ValueError where there are too many."""
        self._left -= _COSTS[kind]
        if self._left < 0:
            raise ValueError(
                f"the chat and its messages hold more than can be looked at that may be of the kind {kind} or another "
                f"({_MOST_WORK}, each that may be an IBAN is {_COSTS['iban']}): send less of it"
            )


def cover(text: str, kinds: Iterable[Kind], tries: Tries) -> str:
    """The text with `[email]` and the like in place of what is found; of two that overlap, the longer is taken.

    Raises ValueError for more candidates than `tries` are left.
    """
    if len(text) < _SHORTEST or _MAY_HOLD.search(text) is None:
        return text
    spans = sorted(
        (span for kind in kinds for span in _FIND[kind](text, tries)), key=lambda span: (span[0] - span[1], span)
    )
    if not spans:
        return text
    is_taken = bytearray(len(text))
    taken: list[Span] = []
    for begin, end, kind in spans:
        if not any(is_taken[begin:end]):
            is_taken[begin:end] = b"\1" * (end - begin)
            taken.append((begin, end, kind))
    pieces, place = [], 0
    for begin, end, kind in sorted(taken):
        pieces += [text[place:begin], f"[{kind}]"]
        place = end
    return "".join([*pieces, text[place:]])


def cover_body(value: Any, kinds: frozenset[Kind], tries: Tries) -> Any:
    """A chat's body with every text, key and number in it covered, but for the uuids and types that Cargo asks for."""
    if isinstance(value, Mapping):
        return {
            key: item if _is_ours(key, item) else _cover_item(key, item, kinds, tries) for key, item in value.items()
        }
    return _cover_value(value, kinds, tries)


def _is_ours(key: str, item: Any) -> bool:
    return isinstance(item, str) and (key in _PLACE_OF_IDS or key == "uuid" or key.endswith("Uuid"))


def _cover_item(key: str, item: Any, kinds: frozenset[Kind], tries: Tries) -> Any:
    """Only the body itself and its trigger have keys of Cargo's; `meta` is the operator's."""
    return cover_body(item, kinds, tries) if key == "trigger" else _cover_value(item, kinds, tries)


def _cover_value(value: Any, kinds: frozenset[Kind], tries: Tries) -> Any:
    if isinstance(value, str):
        return cover(value, kinds, tries)
    if isinstance(value, Mapping):
        return {cover(key, kinds, tries): _cover_value(item, kinds, tries) for key, item in value.items()}
    if isinstance(value, list):
        return [_cover_value(item, kinds, tries) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        text = str(value)
        covered = cover(text, kinds, tries)
        return value if covered == text else covered
    return value


def _emails(text: str, tries: Tries) -> Iterator[Span]:
    if "@" in text:
        for match in _EMAIL.finditer(text):
            tries.count("email")
            yield *match.span(), "email"


def _digits(text: str) -> int:
    """How many there are: too few are no number, which is known sooner than by the pattern."""
    return sum(map(len, _GROUP.findall(text)))


def _phones(text: str, tries: Tries) -> Iterator[Span]:
    if _digits(text) < _PHONE_DIGITS[0]:
        return
    for match in _PHONE.finditer(text):
        tries.count("phone")
        if sum(map(str.isdigit, match[0])) in _PHONE_DIGITS:
            yield *match.span(), "phone"


def _cards(text: str, tries: Tries) -> Iterator[Span]:
    if _digits(text) < _CARD_DIGITS[0]:
        return
    for run in _GROUPS.finditer(text):
        if _digits(run[0]) < _CARD_DIGITS[0]:
            continue
        offset = run.start()
        groups = [(offset + group.start(), offset + group.end()) for group in _GROUP.finditer(run[0])]
        for number, (begin, _) in enumerate(groups):
            digits = ""
            for first, end in groups[number : number + _MOST_GROUPS]:
                digits += text[first:end]
                if len(digits) not in _CARD_DIGITS:
                    continue
                tries.count("card")
                if (len(digits) != 13 or digits[0] == "4") and luhn.is_valid(digits):
                    yield begin, end, "card"


def _ibans(text: str, tries: Tries) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        tries.count("iban")
        begin = match.start()
        end = _end_of_iban(text, begin)
        if end is not None:
            yield begin, end, "iban"


def _end_of_iban(text: str, begin: int) -> int | None:
    """Where an IBAN that begins there ends: words may follow that look as if they belonged to it."""
    places: list[int] = []
    for place in range(begin, min(len(text), begin + 2 * _IBAN_SIZES[0])):
        sign = text[place]
        if sign.isascii() and sign.isalnum():
            places.append(place)
        elif sign not in _BETWEEN or text[place - 1] in _BETWEEN:
            break
    for size in _IBAN_SIZES:
        if size <= len(places) and _is_iban("".join(text[place] for place in places[:size]).upper()):
            after = places[size - 1] + 1
            if after == len(text) or not text[after].isalnum():
                return after
    return None


def _is_iban(text: str) -> bool:
    """By its check digits (ISO 7064, mod 97-10), and by its country's length where the registry has it."""
    turned = text[4:] + text[:4]
    if int(turned.translate(_SIGNS)) % 97 != 1:
        return False
    try:
        iban.validate(text, check_country=False)
    except ValidationError:
        return False
    return True


_FIND: Final[Mapping[Kind, Any]] = {"email": _emails, "phone": _phones, "card": _cards, "iban": _ibans}
