"""Loads the configuration: reads files and folders, fills `${}`, runs every check, and reports all faults at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b, sha256
from pathlib import Path as File
from typing import Any

from relay.config.case import PlacedCase
from relay.config.check import check
from relay.config.defaults import spread
from relay.config.draft import read
from relay.config.examples import check_examples
from relay.config.fault import ConfigFault, FaultLine, Warn, lines, spell
from relay.config.files import Files, members
from relay.config.fill import Filler
from relay.config.merge import gather, list_overrides, override
from relay.config.outward import choose
from relay.config.parse import parse
from relay.config.settings import Settings
from relay.config.tree import Branch, Leaf, Mark, Path, Row, place
from relay.errors import Misconfigured
from relay.proxy import Proxy
from relay.secret import Secret
from relay.uncollected import uncollected


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without faults.

    `warnings` are lines in the format of faults. `digest` is a short hash of the effective configuration. It is equal
    on all replicas with the same configuration, and does not help to guess a secret. `files` are the files in the order
    in which they were read. `proxy` is the proxy for Cargo, from `cargo.proxy` or the environment; None is a direct
    connection. `tests` are the tests beside the rules. `unset` are the keys whose values are not known here, because a
    variable is not set. `origin` reads it again.
    """

    settings: Settings
    warnings: tuple[str, ...]
    digest: str
    files: tuple[File, ...]
    proxy: Proxy | None
    tests: tuple[PlacedCase, ...]
    unset: frozenset[str]
    origin: Files = field(repr=False, compare=False)


def load(paths: Sequence[File], env: Mapping[str, str], *, strict: bool = True, examples: bool = True) -> Loaded:
    """Load the configuration in `paths` (files, or folders of *.yaml). Later paths override earlier ones.

    `${}` is filled from `env`. Without `strict` a variable that is not set is only a warning, so that a configuration
    can be checked without its secrets. With `examples` false, the uuids of the examples are faults. Raises
    `Misconfigured` with all faults.
    """
    return load_files(Files(paths, env, strict=strict, examples=examples))


def load_files(origin: Files) -> Loaded:
    """The configuration in these files, as they are now. Raises `Misconfigured` with every fault."""
    reader, filler, before = _Reader(), Filler(origin.env, strict=origin.strict), origin.state()
    try:
        with uncollected():
            return _load(origin, reader, filler)
    finally:
        origin.see([*reader.files, *filler.files], before)


def locate(origin: Files, findings: Sequence[tuple[Path, str]]) -> list[FaultLine]:
    """Lines for findings about values of a configuration without faults: where each stands, its key, what is wrong.

    Each finding is a path and its text. The files are read again: a running relay keeps no places.
    """
    root = Filler(origin.env, strict=False).fill(_read_tree(origin, _Reader()))
    return [FaultLine.of(ConfigFault(place(root, path), spell(path, root), what)) for path, what in findings]


def _read_tree(origin: Files, reader: "_Reader") -> Branch:
    paths = origin.paths
    root = Branch(Mark(0, 1, 1, str(paths[0]) if paths else "configuration"), {})
    for path in paths:
        layer = reader.layer(path)
        reader.faults += list_overrides(root, layer)
        root = override(root, layer)
    if reader.broken:
        raise Misconfigured(lines(reader.faults))
    return root


def _load(origin: Files, reader: "_Reader", filler: Filler) -> Loaded:
    strict = origin.strict
    draft = read(filler.fill(_read_tree(origin, reader)), strict=strict)
    check(draft)
    if not origin.examples:
        check_examples(draft)
    proxy = choose(draft, origin.env)
    findings = [*reader.faults, *filler.faults, *draft.faults]
    faults = [fault for fault in findings if not isinstance(fault, Warn)]
    if faults:
        raise Misconfigured(lines(faults))
    settings, warnings = draft.settings(), tuple(lines(findings))
    unset = frozenset(fault.key for fault in filler.faults)
    return Loaded(settings, warnings, digest(settings), tuple(reader.files), proxy, draft.cases(), unset, origin)


class _Reader:
    """Reads files into trees. `broken` says that a file could not be read, so that its content is unknown."""

    def __init__(self) -> None:
        self.faults: list[ConfigFault] = []
        self.files: list[File] = []
        self.broken = False

    def layer(self, path: File) -> Branch:
        """The tree of one path: a file, or all `*.yaml` of a folder in the order of their names."""
        mark = Mark(len(self.files), 1, 1, str(path))
        trees = [tree for file in self._files(path, mark) if (tree := self._tree(file)) is not None]
        tree, faults = gather(trees, mark)
        self.faults.extend(faults)
        return tree

    def _files(self, path: File, mark: Mark) -> list[File]:
        try:
            if not path.is_dir():
                return [path]
            files = members(path)
        except (OSError, ValueError) as error:
            self._fail(mark, _reason(error, "the folder"))
            return []
        if not files:
            self._fail(mark, "the folder contains no *.yaml: put the configuration there, or name another folder")
        return files

    def _tree(self, file: File) -> Branch | None:
        mark = Mark(len(self.files), 1, 1, str(file))
        self.files.append(file)
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            where = Mark(mark.order, before.count(b"\n") + 1, len(before) - before.rfind(b"\n"), mark.file)
            self._fail(where, "this is not UTF-8: save the file as UTF-8")
            return None
        except (OSError, ValueError) as error:
            self._fail(mark, _reason(error, "the file"))
            return None
        return self._top(text, file, mark)

    def _top(self, text: str, file: File, mark: Mark) -> Branch | None:
        faults_before = len(self.faults)
        node, faults = parse(text, str(file), mark.order)
        self.faults.extend(faults)
        if isinstance(node, Branch):
            file_tree, faults = spread(node)
            self.faults.extend(faults)
            return file_tree
        if isinstance(node, Row) or (isinstance(node, Leaf) and node.value is not None):
            self._fail(node.mark, "this is not a mapping: begin with keys such as cargo:, sources: and rules:")
        self.broken = self.broken or len(self.faults) > faults_before
        return None

    def _fail(self, mark: Mark, message: str) -> None:
        self.broken = True
        self.faults.append(ConfigFault(mark, "file", message))


def _reason(error: OSError | ValueError, subject: str) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{subject} cannot be read ({reason or 'no such path'}): correct the path or its permissions"


def digest(settings: Settings) -> str:
    """Hash the settings. The key is Cargo's token, so that nobody can use the hash to guess the other secrets."""
    document = json.dumps([settings.redacted(without={"rules"}), _revealed(settings)], sort_keys=True)
    document = "\n".join([document, *(rule.text for rule in settings.rules)])
    key = sha256(settings.cargo.token.reveal().encode()).digest()
    return blake2b(document.encode("utf-8", "surrogatepass"), key=key, digest_size=6).hexdigest()


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return [_revealed(item) for item in value.values()]
    if isinstance(value, tuple | list):
        return [_revealed(item) for item in value]
    fields = getattr(type(value), "model_fields", None)
    return [_revealed(getattr(value, key)) for key in fields if key != "rules"] if fields else None
