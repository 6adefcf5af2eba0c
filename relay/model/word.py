"""What the states, outcomes and kinds of the model are made of."""

from enum import StrEnum


class Word(StrEnum):
    """One of a set of words, kept and sent as it is.

    Hashed as the text that it is: an enumeration's own hash is written in Python, and an event on its way meets a
    dozen of them. `str()` gives the plain text, for the same reason quicker than `value`.
    """

    __hash__ = str.__hash__
