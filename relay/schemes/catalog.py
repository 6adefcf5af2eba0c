"""The vendors' entries, read from `vendors/*.yaml` when they are asked for: a file is named for its scheme."""

from functools import cache
from importlib import resources
from typing import Any, Final

import yaml

from relay.schemes.entry import Vendor

_FOLDER: Final = resources.files("relay.schemes") / "vendors"


@cache
def names() -> frozenset[str]:
    """Every vendor's scheme."""
    return frozenset(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))


@cache
def vendor(scheme: str) -> Vendor:
    """The entry of a scheme; that of a choice says what its first one needs. Raises KeyError when there is none."""
    if scheme not in names():
        raise KeyError(scheme)
    text = (_FOLDER / f"{scheme}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    like = found.pop("like", None)
    made = Vendor.model_validate(_source(like) | found if like else found)
    if made.picks and made.secret is None:
        return made.model_copy(update={"secret": vendor(made.accepts[0]).secret})
    return made


def _source(scheme: str) -> dict[str, Any]:
    text = (_FOLDER / f"{scheme}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return found
