"""What an unquoted scalar means by YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)."""

import math
import re
from typing import Any, Final

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMERIC: Final = frozenset("+-.0123456789")
"""What every number begins with."""
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def meaning(text: str) -> Any:
    """What an unquoted scalar means by YAML 1.2. Raises ValueError for what JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise ValueError("this number is too large: put it in quotes if it is meant as text")
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"JSON knows no {text}: put it in quotes if it is meant as text")
    return text


def _integer(text: str) -> int:
    if len(text) > 400:
        raise ValueError("this number is too long: put it in quotes if it is meant as text")
    return int(text, 0 if text[:2] in {"0o", "0x"} else 10)
