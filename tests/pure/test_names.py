"""One name has one meaning: no public class name is defined in two modules."""

import ast
from collections import defaultdict
from pathlib import Path

import relay

PACKAGE = Path(relay.__file__).parent
PUBLISHED = {
    ("ops/watched.py", "Act"),
    ("ops/watched.py", "ActPage"),
    ("ops/trial.py", "Condition"),
    ("ops/wire.py", "DeadLetter"),
    ("ops/wire.py", "DeadPage"),
    ("ops/wire.py", "Dispatch"),
    ("ops/wire.py", "Event"),
    ("ops/wire.py", "EventDetail"),
    ("ops/wire.py", "EventPage"),
    ("ops/wire.py", "Fault"),
    ("ops/watched.py", "Problem"),
    ("ops/watched.py", "ProblemPage"),
    ("ops/wire.py", "Rejection"),
    ("ops/wire.py", "ResultPage"),
    ("ops/rated.py", "Rates"),
    ("ops/wire.py", "Skip"),
    ("ops/setup.py", "Replica"),
    ("ops/setup.py", "Sources"),
    ("ops/trial.py", "Verdict"),
    ("outbox/wire.py", "Fault"),
    ("outbox/wire.py", "Skip"),
}
"""Names in the published schemas of the API and of results, which cannot be changed."""


def _modules_by_class():
    modules = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].add(module)
    return modules


def test_a_public_class_name_is_defined_in_one_module():
    modules = _modules_by_class()
    internal = {
        name: {module for module in defined if (module, name) not in PUBLISHED} for name, defined in modules.items()
    }
    repeated = {name: sorted(found) for name, found in internal.items() if len(found) > 1}
    assert not repeated, f"rename the classes in all modules but one: {repeated}"


def test_every_exception_is_needed():
    modules = _modules_by_class()
    assert {
        (module, name) for module, name in PUBLISHED if module not in modules[name] or len(modules[name]) < 2
    } == set()
