"""The base class of the enumerations in the model."""

from enum import StrEnum


class Word(StrEnum):
    """An enumeration whose members are stored and sent as their text.

    It uses the hash of `str`, because an enumeration's own hash is Python code and each event hashes members a dozen
    times. For the same reason, use `str()` for the plain text: it is quicker than `value`.
    """

    __hash__ = str.__hash__
