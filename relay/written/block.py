"""The base of all parts of the configuration: frozen, without unknown keys, defaults in the operators' notation."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from relay.written.describe import descriptions, keys_of


class Block(BaseModel):
    """A mapping of known keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With what the strings below the attributes say."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        told = descriptions(cls)
        for key, name in keys_of(cls).items():
            if key in properties and name in told:
                properties[key].setdefault("description", told[name])
        return schema


def default(value: Any) -> Any:
    """A default in the notation of the file. It is parsed like a value from the file."""
    return Field(default=value)


def fault(key: str, message: str) -> PydanticCustomError:
    """A fault at `key` of the block that is being validated."""
    return PydanticCustomError("fault", "{message}", {"key": key, "message": message})
