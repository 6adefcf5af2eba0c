"""The files of a configuration, which are read again when they change."""

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class Files:
    """The paths that were named (files, and folders of *.yaml), and the environment of `${}`.

    `state` tells whether one of the files changed. `known` is the state in which the last reading began, so that a
    change while it read is a change.
    """

    def __init__(
        self, paths: Sequence[Path], env: Mapping[str, str], *, strict: bool = True, examples: bool = True
    ) -> None:
        self.paths = tuple(paths)
        self.env = env
        self.strict = strict
        self.examples = examples
        self.known = FileState({}, {})
        self._seen: frozenset[Path] = frozenset()

    def see(self, files: Iterable[Path], before: "FileState") -> None:
        """Note the files that a reading looked at, also those that it did not find, and the state before it."""
        self._seen = frozenset(files)
        after = self.state()
        self.known = FileState(
            before.folders, {path: before.files.get(path, found) for path, found in after.files.items()}
        )

    def state(self) -> "FileState":
        """What changes when a file changes: by an edit, a rename over it, a symbolic link that leads elsewhere.

        Nothing is read.
        """
        folders = {path: _members(path) for path in self.paths}
        listed = [file for files in folders.values() for file in files]
        return FileState(folders, {path: _stat(path) for path in {*self.paths, *listed, *self._seen}})


@dataclass(frozen=True, slots=True)
class FileState:
    """The files of the folders that were named, and what the system says of each file."""

    folders: Mapping[Path, tuple[Path, ...]]
    files: Mapping[Path, tuple[int, ...]]


def members(folder: Path) -> list[Path]:
    """The files of a folder that make the configuration, by name. Raises OSError."""
    return sorted(
        file for file in folder.iterdir() if file.suffix == ".yaml" and file.name[0] != "." and file.is_file()
    )


def _members(path: Path) -> tuple[Path, ...]:
    try:
        return tuple(members(path)) if path.is_dir() else ()
    except (OSError, ValueError):
        return ()


def _stat(path: Path) -> tuple[int, ...]:
    """Follows links, as the reading does. The time of the inode's change tells a file of the same size and time."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat raises ValueError for NUL as this does, and costs more
    except (OSError, ValueError) as error:
        return (getattr(error, "errno", None) or -1,)
    if stat.S_ISDIR(found.st_mode):  # its own times change with any file in it
        return (found.st_dev, found.st_ino)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
