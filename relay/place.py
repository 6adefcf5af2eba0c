"""What is at a path, where looking may be forbidden: then there is nothing that this user could use.

Until Python 3.14 `Path.exists` and its siblings raise for a folder that this user may not search, as a container has
them that runs as another user.
"""

from os import PathLike, path

Place = str | PathLike[str]


def exists(place: Place) -> bool:
    """Whether there is anything."""
    return path.exists(place)  # noqa: PTH110 - `Path.exists` raises


def is_file(place: Place) -> bool:
    """Whether there is a file."""
    return path.isfile(place)  # noqa: PTH113 - `Path.is_file` raises


def is_folder(place: Place) -> bool:
    """Whether there is a folder."""
    return path.isdir(place)  # noqa: PTH112 - `Path.is_dir` raises
