"""A look at a path never raises, whoever may look."""

import ast
from pathlib import Path

import relay
from relay.place import exists, is_file, is_folder

# Python before 3.14 raises for it as for a folder that this user may not search, and root may search all of them.
TOO_LONG = Path("/tmp") / ("x" * 300)
RAISING = {"exists", "is_dir", "is_file"}
# Each catches OSError there, asks for what the package itself has, or is SQL.
KNOWN = {"config/load.py", "config/files.py", "cli/recipes.py", "app/samples.py", "ledger/queries/search.py"}


def test_what_cannot_be_looked_at_is_not_there(tmp_path):
    (tmp_path / "file").touch()
    assert [exists(TOO_LONG), is_file(TOO_LONG), is_folder(TOO_LONG)] == [False, False, False]
    assert [exists(tmp_path), is_file(tmp_path), is_folder(tmp_path)] == [True, False, True]
    assert [exists(tmp_path / "file"), is_file(tmp_path / "file"), is_folder(tmp_path / "file")] == [True, True, False]


def test_the_package_looks_by_these_only():
    root = Path(relay.__file__).parent
    files = {str(file.relative_to(root)): ast.parse(file.read_text()) for file in root.rglob("*.py")}
    calls = {
        name
        for name, tree in files.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RAISING
    }
    assert calls - {"place.py"} == KNOWN
