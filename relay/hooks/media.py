"""Content types: which of them are read here, and how."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from relay.schemes.cloudevents import BATCHED, STRUCTURED, is_json

_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_UNTYPED: Final = frozenset({"", "text/plain"})


class Form(Enum):
    """How a body is read."""

    JSON = "json"
    CLOUD = "cloud"
    CLOUDS = "clouds"
    FOREIGN = "foreign"


_CLOUDS: Final = {STRUCTURED: Form.CLOUD, BATCHED: Form.CLOUDS}


@dataclass(frozen=True, slots=True)
class Media:
    """A content type: `form`, and the charset (UTF-8 unless one is named)."""

    form: Form
    charset: str = "utf-8"


@lru_cache(maxsize=256)
def read(content_type: str) -> Media:
    """What a `Content-Type` says; an empty one and text/plain are taken for JSON, and it shows when they are not."""
    bare, _, parameters = content_type.partition(";")
    charset = _CHARSET.search(parameters)
    return Media(_form(bare.strip().lower()), charset[1] if charset else "utf-8")


def _form(bare: str) -> Form:
    if bare in _CLOUDS:
        return _CLOUDS[bare]
    return Form.JSON if bare in _UNTYPED or is_json(bare) else Form.FOREIGN
