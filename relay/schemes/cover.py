"""Which of an event's ids a proof covers, found by comparing what it signs with where they stand."""

from typing import Final

from relay.schemes import phrase
from relay.schemes.entry import Fields, Jwt, Signature

BODY: Final = "body"
_WHOLE: Final = frozenset({BODY, "params", "first"})
"""Names that hold all of a body; `params` are the fields of a form that has nothing else."""

_WEAK: Final = frozenset({"crc32"})
"""Filters after which another text has the same value: anybody finds one."""


def covers(form: Signature | Jwt, event: Fields) -> tuple[bool, ...]:
    """For each phrase of the event's id, and last for the hash of the body, whether all of it is signed."""
    signed = _signed(form)
    return (*(all(_is_in(name, signed) for name in _names(one.at)) for one in event.id), BODY in signed)


def _signed(form: Signature | Jwt) -> frozenset[str]:
    """The names whose values a proof signs, `body` for whatever is in the body."""
    if isinstance(form, Jwt):
        return frozenset().union(*(_names(text) for text in form.claims.values()))
    signed = _names(form.content)
    for one, other in form.equal.items():
        if "url" in signed and all(name.startswith("query[") for name in _names(other)):
            signed |= _names(one)
    return signed | {BODY} if signed & _WHOLE else signed


def _names(text: str) -> frozenset[str]:
    """The names in a phrase, without what goes through a filter that any text could pass."""
    found = [[part.strip() for part in name.split("|")] for name in phrase.names(text)]
    return frozenset(
        name.removesuffix("?").replace("'", '"').lower() for name, *chain in found if not _WEAK & set(chain)
    )


def _is_in(name: str, signed: frozenset[str]) -> bool:
    inside = name.startswith(("data.", "envelope.", "key[", "pairs[")) or name in _WHOLE
    return name in signed or name.startswith("options.") or (inside and (BODY in signed or _is_paired(name, signed)))


def _is_paired(name: str, signed: frozenset[str]) -> bool:
    """Whether it is one of the keys of `pairs["A B"]`, in lower case as all names are here."""
    listed = [key.rstrip("*?") for one in signed if one.startswith("pairs[") for key in one[7:-2].split()]
    return name.removeprefix("data.") in listed
