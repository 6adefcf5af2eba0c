"""Copies a virtual environment, its Python and every shared library that these load into two empty roots.

pack.py ENVIRONMENT BELOW ABOVE, run by that environment's own Python. What a service never imports stays behind. Relay
itself goes to ABOVE: a layer that is small, while the one below stays as it is until a dependency changes. Below,
modules stand as bytecode alone, which takes a fifth off that layer: a traceback has their lines by number. All files
have one time, so that the same contents make the same layers.
"""

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from bill import PROJECT, write_bill

SOURCES = shutil.ignore_patterns("__pycache__", "tests", "*.pyi", "*.pyx", "*.pxd", "*.c", "*.h")
UNUSED = shutil.ignore_patterns(
    *("__pycache__", "test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "venv", "pydoc_data"),
    *("config-*", "dist-packages", "site-packages", "_test*.so", "_tkinter*.so", "_ctypes_test*.so", "_dbm*.so"),
    *("curses", "_curses*.so", "dbm", "readline*.so", "turtle.py", "unittest", "xmlrpc"),
)
# Of the packages, by their places: what only their own tests, builds with cffi, models of pydantic 1, other databases,
# other languages than Python in a traceback, short numbers, and other numbers than an IBAN and a card's load. A country
# whose IBANs have rules of their own stays.
LEFT_OUT = (
    *("alembic/testing", "sqlalchemy/testing", "cffi", "pycparser", "pydantic/v1"),
    *("sqlalchemy/dialects/mssql", "sqlalchemy/dialects/mysql", "sqlalchemy/dialects/oracle"),
    *("pygments/lexers/[a-z]*.py", "pygments/lexers/_*_builtins.py", "pygments/styles/[a-z]*.py"),
    *("pygments/formatters", "phonenumbers/shortdata/region_*.py", "stdnum/*.dat", "stdnum/??", "stdnum/??_"),
)
KEPT = (
    *("pygments/lexers/python.py", "pygments/lexers/special.py", "pygments/styles/default.py"),
    *("stdnum/iban.dat", "stdnum/*/iban.py"),
)
# Loaded by name at run time, so that no binary lists them.
BY_NAME = ("libgcc_s.so.1",)
INIT = Path("/usr/bin/tini")
"""The first process of a container: it passes signals on from its first moment."""
# Zones are those of the package tzdata.
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
TIME = 1_577_836_800
"""2020-01-01, for every file: a time before 1980 is none that zip files, which wheels are, can have."""


def main() -> None:
    environment, root, above = map(Path, sys.argv[1:])
    copy(INIT, root)
    copy_python(root)
    copy_environment(environment, root)
    packed = root / environment.relative_to("/")
    packages = packed / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    for path in find_unused(packages):
        remove(path)
    strip_symbols(root)
    libraries = copy_libraries(root)
    copy(TRUST, root)
    copy_probe(packed)
    make_user(root)
    raise_project(packed, packages, above / environment.relative_to("/"))
    compile_all(above, above)
    for folder in (packages, root / Path(sysconfig.get_path("stdlib")).relative_to("/")):
        drop_sources(folder, root)
    taken = [*libraries, TRUST, INIT, Path(sys.executable)]
    write_bill(above / environment.relative_to("/") / "sbom.json", taken)
    for layer in (root, above):
        set_times(layer)
        print(f"{layer}: {sum(path.lstat().st_size for path in layer.rglob('*')) / 1e6:.1f} MB")


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
    """Its packages as they are, less sources that are compiled in; its interpreter links straight to the real one.

    Of programs only the interpreter and Relay: the others are of its packages, for people.
    """
    target = root / environment.relative_to("/")
    shutil.copytree(environment, target, symlinks=True, ignore=SOURCES)
    for program in (target / "bin").iterdir():
        if program.name == PROJECT:
            continue
        linked = program.is_symlink()
        program.unlink()
        if linked:
            program.symlink_to(Path(sys.executable).resolve())


def find_unused(packages: Path) -> list[Path]:
    """What `LEFT_OUT` names below `packages`, without what `KEPT` names."""
    kept = {path for pattern in KEPT for path in packages.glob(pattern)}
    found = {path for pattern in LEFT_OUT for path in packages.glob(pattern)} - kept
    return sorted(path for path in found if not any(path in each.parents for each in kept))


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def copy_libraries(root: Path) -> set[Path]:
    """What binaries load from outside of the root, copied into it; returns where it was."""
    listing = subprocess.run(["ldd", *find_binaries(root)], capture_output=True, text=True, check=True).stdout
    found = {Path(word) for word in listing.split() if word.startswith("/") and not word.endswith(":")}
    folder = next(path.parent for path in found if path.name.startswith("libc.so"))
    libraries = {path for path in (*found, *(folder / name for name in BY_NAME)) if not path.is_relative_to(root)}
    for library in libraries:
        copy(library, root)
    index_libraries({library.parent for library in libraries}, root)
    return libraries


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


def copy_probe(target: Path) -> None:
    shutil.copy2(Path(__file__).with_name("probe.py"), target)


def compile_all(folder: Path, root: Path, legacy: bool = False) -> None:
    # The root is read-only: nothing changes, so nothing is compared.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, stripdir=root, invalidation_mode=mode, legacy=legacy)


def drop_sources(folder: Path, root: Path) -> None:
    """Leaves bytecode alone, in the place of each module's source, which is where it is then looked for."""
    compile_all(folder, root, legacy=True)
    for path in folder.rglob("*.py"):
        if path.with_suffix(".pyc").exists():
            path.unlink()


def raise_project(packed: Path, packages: Path, above: Path) -> None:
    """Moves Relay and its entry point out of the packed environment, to the same places above."""
    for path in (packed / "bin" / PROJECT, packages / PROJECT, *packages.glob(f"{PROJECT}-*.dist-info")):
        target = above / path.relative_to(packed)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)


def set_times(root: Path) -> None:
    for path in (*root.rglob("*"), root):
        os.utime(path, (TIME, TIME), follow_symlinks=False)


def make_user(root: Path) -> None:
    (root / "etc/relay").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:\nrelay:x:10001:10001::/var/lib/relay:\n")
    (root / "etc/group").write_text("root:x:0:\nrelay:x:10001:\n")
    # Group 0 may write the ledger's folder: OpenShift gives each project a user id of its own, in that group.
    for folder, mode in (("tmp", 0o1777), ("var/lib/relay", 0o770)):
        (root / folder).mkdir(parents=True)
        (root / folder).chmod(mode)
    os.chown(root / "var/lib/relay", 10001, 0)


if __name__ == "__main__":
    main()
