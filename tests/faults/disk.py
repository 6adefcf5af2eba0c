"""A disk that is small enough to fill, and one that fails."""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, megabytes: int = 24) -> Iterator[None]:
    """A file system of that size at the folder, which takes root. Where nobody can mount, rows with it are left out."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def can_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder)):
                return True
        except (subprocess.CalledProcessError, OSError):
            return False


def write_until_full(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):  # the last page, too: what is smaller finds no room either
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


@contextmanager
def failing_writes(pid: int) -> Iterator[None]:
    """Each write of a process to a file fails, in the kernel: no file of it may have a byte (EFBIG stands for EIO)."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))
