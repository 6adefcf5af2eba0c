"""`relay recipes [NAME]`: complete configurations, each with a sample payload."""

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
    """A recipe: its configuration as text, and a sample body of its vendor."""

    name: str
    text: str
    sample_name: str
    sample: str

    @property
    def about(self) -> str:
        """The purpose of the recipe, from its second line."""
        return self.text.splitlines()[1].removeprefix("# ")

    @property
    def document(self) -> dict[str, Any]:
        """The configuration as parsed YAML, without filling in variables."""
        import yaml

        document: dict[str, Any] = yaml.load(self.text, Loader=yaml.CSafeLoader)
        return document

    @property
    def source(self) -> str:
        """The name of its only source."""
        (name,) = self.document["sources"]
        return str(name)


def find_recipes() -> dict[str, Recipe]:
    """All recipes by name, from the installed package or, in a checkout, from `config/recipes`."""
    return {recipe.name: recipe for recipe in sorted(_read(_folder()), key=lambda recipe: recipe.name)}


def complete_recipe(incomplete: str) -> list[str]:
    """Complete names of recipes in the shell."""
    return [name for name in find_recipes() if name.startswith(incomplete)]


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this recipe.", autocompletion=complete_recipe, show_default=False),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Print its sample payload instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List recipes, or print one: a complete configuration for a vendor, or a sample body of that vendor."""
    from relay.cli.output import print_json, print_line, print_table
    from relay.cli.words import near

    available = find_recipes()
    if name is None:
        if sample:
            raise typer.BadParameter("name the recipe whose sample to print", param_hint="NAME")
        rows = [(recipe.name, recipe.source, recipe.about) for recipe in available.values()]
        if as_json:
            return print_json([dict(zip(("name", "source", "about"), row, strict=True)) for row in rows])
        return print_table(["name", "source", "about"], rows, whole=("name", "source"))
    if name not in available:
        raise RelayError(f"there is no recipe {name!r}: {near(name, available, '`relay recipes` lists them')}")
    recipe = available[name]
    if as_json:
        about = {"name": recipe.name, "source": recipe.source, "about": recipe.about}
        return print_json(about | {"config": recipe.text, "sample": recipe.sample})
    return print_line((recipe.sample if sample else recipe.text).rstrip("\n"))


def _folder() -> Traversable:
    installed = files("relay") / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "config" / "recipes"


def _read(folder: Traversable) -> Iterator[Recipe]:
    by_name = {file.name: file for file in folder.iterdir()}
    for file_name, file in by_name.items():
        name, _, ending = file_name.rpartition(".")
        if ending == "yaml":
            sample = next(by_name[f"{name}{suffix}"] for suffix in _SAMPLES if f"{name}{suffix}" in by_name)
            text = file.read_text(encoding="utf-8")
            yield Recipe(name, text, sample.name, sample.read_text(encoding="utf-8"))
