"""Reads the configuration: files and folders, `${}`, every check; all faults at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from relay.config.check import check
from relay.config.draft import read
from relay.config.examples import check_examples
from relay.config.fault import Fault, Warn, lines
from relay.config.fill import Filler
from relay.config.merge import gather, override, told
from relay.config.outward import choose
from relay.config.parse import parse
from relay.config.settings import Settings
from relay.config.tree import Branch, Leaf, Mark, Row
from relay.errors import Misconfigured
from relay.proxy import Proxy
from relay.secret import Secret


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without faults.

    `warnings` are lines like those of faults. `digest` is a short hash of what is in effect, equal on every replica
    with the same configuration and of no use for guessing a secret. `files` were read, in their order. `proxy` is the
    way to Cargo, by `cargo.proxy` or the environment; None is the straight one.
    """

    settings: Settings
    warnings: tuple[str, ...]
    digest: str
    files: tuple[Path, ...]
    proxy: Proxy | None = None


def load(paths: Sequence[Path], env: Mapping[str, str], *, strict: bool = True, examples: bool = True) -> Loaded:
    """The configuration in `paths` (files, or folders of *.yaml), later ones over earlier ones.

    `${}` is filled from `env`. Unless `strict`, a variable that is not set is opaque and a warning, so that a
    configuration can be checked without its secrets. Without `examples` their uuids are faults. Raises `Misconfigured`
    with every fault.
    """
    reader = _Reader()
    root = Branch(Mark(0, 1, 1, str(paths[0]) if paths else "configuration"), {})
    for path in paths:
        layer = reader.layer(path)
        reader.faults += told(root, layer)
        root = override(root, layer)
    if reader.broken:
        raise Misconfigured(lines(reader.faults))
    filler = Filler(env, strict=strict)
    draft = read(filler.fill(root), strict=strict)
    check(draft)
    if not examples:
        check_examples(draft)
    proxy = choose(draft, env)
    found = [*reader.faults, *filler.faults, *draft.faults]
    faults = [fault for fault in found if not isinstance(fault, Warn)]
    if faults:
        raise Misconfigured(lines(faults))
    settings = draft.settings()
    return Loaded(settings, tuple(lines(found)), _digest(settings), tuple(reader.files), proxy)


class _Reader:
    """Reads files to trees. `broken` says that one could not be read at all: what it holds is not known."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.files: list[Path] = []
        self.broken = False

    def layer(self, path: Path) -> Branch:
        """One path: a file, or the `*.yaml` of a folder by name."""
        at = Mark(len(self.files), 1, 1, str(path))
        trees = [tree for file in self._files(path, at) if (tree := self._tree(file)) is not None]
        tree, faults = gather(trees, at)
        self.faults.extend(faults)
        return tree

    def _files(self, path: Path, at: Mark) -> list[Path]:
        try:
            if not path.is_dir():
                return [path]
            files = sorted(
                file for file in path.iterdir() if file.suffix == ".yaml" and file.name[0] != "." and file.is_file()
            )
        except (OSError, ValueError) as error:
            self._fail(at, _reason(error, "the folder"))
            return []
        if not files:
            self._fail(at, "the folder holds no *.yaml: put the configuration there, or name another")
        return files

    def _tree(self, file: Path) -> Branch | None:
        at = Mark(len(self.files), 1, 1, str(file))
        self.files.append(file)
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            where = Mark(at.order, before.count(b"\n") + 1, len(before) - before.rfind(b"\n"), at.file)
            self._fail(where, "this is not UTF-8: save the file as UTF-8")
            return None
        except (OSError, ValueError) as error:
            self._fail(at, _reason(error, "the file"))
            return None
        return self._top(text, file, at)

    def _top(self, text: str, file: Path, at: Mark) -> Branch | None:
        known = len(self.faults)
        node, faults = parse(text, str(file), at.order)
        self.faults.extend(faults)
        if isinstance(node, Branch):
            return node
        if isinstance(node, Row) or (isinstance(node, Leaf) and node.value is not None):
            self._fail(node.mark, "this is not a mapping: begin with keys such as cargo:, sources: and rules:")
        self.broken = self.broken or len(self.faults) > known
        return None

    def _fail(self, at: Mark, message: str) -> None:
        self.broken = True
        self.faults.append(Fault(at, "file", message))


def _reason(error: OSError | ValueError, what: str) -> str:
    told = error.strerror if isinstance(error, OSError) else None
    return f"{what} cannot be read ({told or 'no such path'}): mend the path or its permissions"


def _digest(settings: Settings) -> str:
    """Keyed with Cargo's token, so that no other secret can be guessed from it."""
    told = json.dumps([settings.redacted(), _revealed(settings)], sort_keys=True)
    key = sha256(settings.cargo.token.reveal().encode()).digest()
    return blake2b(told.encode("utf-8", "surrogatepass"), key=key, digest_size=6).hexdigest()


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, dict):
        return [_revealed(item) for item in value.values()]
    if isinstance(value, tuple | list):
        return [_revealed(item) for item in value]
    fields = getattr(type(value), "model_fields", None)
    return [_revealed(getattr(value, key)) for key in fields] if fields else None
