"""Copies a virtual environment, its Python and every shared library that these load into an empty root.

pack.py ENVIRONMENT ROOT, run by that environment's own Python. What a service never imports stays behind.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCES = shutil.ignore_patterns("__pycache__", "tests", "*.pyi", "*.pyx", "*.pxd", "*.c", "*.h")
UNUSED = shutil.ignore_patterns(
    *("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "venv", "pydoc_data"),
    *("config-*", "dist-packages", "site-packages", "_test*.so", "_tkinter*.so", "_ctypes_test*.so"),
)
# Loaded by name at run time, so that no binary lists them.
BY_NAME = ("libgcc_s.so.1",)
TRUST = ("/etc/ssl/certs/ca-certificates.crt", "/usr/share/zoneinfo")


def main() -> None:
    environment, root = Path(sys.argv[1]), Path(sys.argv[2])
    copy_python(root)
    copy_environment(environment, root)
    strip_symbols(root / environment.relative_to("/"))
    copy_libraries(root)
    for place in map(Path, TRUST):
        copy(place, root)
    make_user(root)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # the root is read-only: nothing changes, nothing is compared
    compileall.compile_dir(root, quiet=2, stripdir=root, invalidation_mode=mode)
    print(f"{sum(path.lstat().st_size for path in root.rglob('*')) / 1e6:.1f} MB")


def copy(source: Path, root: Path) -> None:
    """`source` at the same path below `root`: what it points to, if it is a link."""
    target = root / source.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=UNUSED, dirs_exist_ok=True)
    elif source.exists() and not target.exists():
        shutil.copy2(source, target)


def copy_python(root: Path) -> None:
    copy(Path(sys.executable).resolve(), root)
    copy(Path(sysconfig.get_path("stdlib")), root)


def copy_environment(environment: Path, root: Path) -> None:
    """Its packages as they are, less sources that are compiled in; its interpreter links straight to the real one."""
    target = root / environment.relative_to("/")
    shutil.copytree(environment, target, symlinks=True, ignore=SOURCES)
    for program in (target / "bin").iterdir():
        if program.is_symlink():
            program.unlink()
            program.symlink_to(Path(sys.executable).resolve())


def copy_libraries(root: Path) -> None:
    listing = subprocess.run(["ldd", *find_binaries(root)], capture_output=True, text=True, check=True).stdout
    found = {Path(word) for word in listing.split() if word.startswith("/") and not word.endswith(":")}
    folder = next(path.parent for path in found if path.name.startswith("libc.so"))
    libraries = {path for path in (*found, *(folder / name for name in BY_NAME)) if not path.is_relative_to(root)}
    for library in libraries:
        copy(library, root)
    index_libraries({library.parent for library in libraries}, root)


def index_libraries(folders: set[Path], root: Path) -> None:
    """So that the loader finds them wherever this Python's image keeps its own."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/ld.so.conf").write_text("".join(f"{folder}\n" for folder in sorted(folders)))
    subprocess.run(["ldconfig", "-r", root], check=True)


def strip_symbols(folder: Path) -> None:
    """Wheels carry symbols for debuggers, half of the weight; what an installer patched (`*.libs`) stays as it is."""
    binaries = [path for path in find_binaries(folder) if not path.parent.name.endswith(".libs")]
    subprocess.run(["strip", "--strip-unneeded", *binaries], check=True)


def find_binaries(folder: Path) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]


def make_user(root: Path) -> None:
    (root / "etc/relay").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:\nrelay:x:10001:10001::/var/lib/relay:\n")
    (root / "etc/group").write_text("root:x:0:\nrelay:x:10001:\n")
    for folder, mode in (("tmp", 0o1777), ("var/lib/relay", 0o700)):
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(mode)
    os.chown(root / "var/lib/relay", 10001, 10001)


main()
