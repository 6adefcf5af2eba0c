"""What every part of the configuration is: frozen, closed to unknown keys, defaults written as operators write them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Block(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )


def default(value: Any) -> Any:
    """A key's default, written as an operator would write it and parsed like it."""
    return Field(default=value)


def fault(key: str, message: str) -> PydanticCustomError:
    """A fault that belongs to `key` of the block under validation."""
    return PydanticCustomError("fault", "{message}", {"key": key, "message": message})
