"""The texts inside a value of the configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]


def texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text in a value with its path, in order; `path` is that of the value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
