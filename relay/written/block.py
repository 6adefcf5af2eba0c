"""The base of all parts of the configuration: frozen, without unknown keys, defaults in the operators' notation."""

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
    """A default in the notation of the file. It is parsed like a value from the file."""
    return Field(default=value)


def fault(key: str, message: str) -> PydanticCustomError:
    """A fault at `key` of the block that is being validated."""
    return PydanticCustomError("fault", "{message}", {"key": key, "message": message})
