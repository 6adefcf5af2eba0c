"""Words that a person may have meant."""

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """`did you mean x?` when a known word is close; else `otherwise`, or the known words."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if otherwise is not None:
        return otherwise
    return f"there are {', '.join(words)}" if words else "there are none"
