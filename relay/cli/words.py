"""Suggestions for mistyped words."""

import difflib
from collections.abc import Iterable


def near(word: str, candidates: Iterable[str], otherwise: str | None = None) -> str:
    """`did you mean x?` when a candidate is similar, otherwise `otherwise` or the list of candidates."""
    words = sorted(candidates)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    if otherwise is not None:
        return otherwise
    return f"known are {', '.join(words)}" if words else "there are none"
