"""`relay recipes [NAME]`: whole configurations with a sample payload, to begin from."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli.options import AsJson
from relay.errors import RelayError

_SAMPLES = (".json", ".xml")


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe: its configuration as text, and a body as its vendor sends it."""

    name: str
    text: str
    sample_name: str
    sample: str

    @property
    def about(self) -> str:
        """What it is for, as its second line says."""
        return self.text.splitlines()[1].removeprefix("# ")

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as plain YAML, variables as they are written."""
        import yaml

        document: dict[str, Any] = yaml.safe_load(self.text)
        return document

    @property
    def source(self) -> str:
        """The name of its one source."""
        (name,) = self.document["sources"]
        return str(name)


def find_recipes() -> dict[str, Recipe]:
    """All of them by name: from the installed package, in a checkout from `config/recipes`."""
    return {recipe.name: recipe for recipe in sorted(_read(_folder()), key=lambda recipe: recipe.name)}


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes for the shell."""
    return [name for name in find_recipes() if name.startswith(incomplete)]


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this one.", autocompletion=complete_recipe, show_default=False),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Print its sample payload instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List recipes, or print one: a whole configuration for a vendor, or a body as that vendor sends it."""
    from relay.cli.output import print_json, print_line, print_table
    from relay.cli.words import near

    known = find_recipes()
    if name is None:
        if sample:
            raise typer.BadParameter("name the recipe whose sample is to be printed", param_hint="NAME")
        rows = [(recipe.name, recipe.source, recipe.about) for recipe in known.values()]
        if as_json:
            return print_json([dict(zip(("name", "source", "about"), row, strict=True)) for row in rows])
        return print_table(["name", "source", "about"], rows, whole=("name", "source"))
    if name not in known:
        raise RelayError(f"there is no recipe {name!r}: {near(name, known, '`relay recipes` lists them')}")
    recipe = known[name]
    if as_json:
        about = {"name": recipe.name, "source": recipe.source, "about": recipe.about}
        return print_json(about | {"config": recipe.text, "sample": recipe.sample})
    return print_line((recipe.sample if sample else recipe.text).rstrip("\n"))


def _folder() -> Traversable:
    installed = files("relay") / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "config" / "recipes"


def _read(folder: Traversable) -> Iterator[Recipe]:
    known = {file.name: file for file in folder.iterdir()}
    for file_name, file in known.items():
        name, _, ending = file_name.rpartition(".")
        if ending == "yaml":
            sample = next(known[f"{name}{suffix}"] for suffix in _SAMPLES if f"{name}{suffix}" in known)
            text = file.read_text(encoding="utf-8")
            yield Recipe(name, text, sample.name, sample.read_text(encoding="utf-8"))
