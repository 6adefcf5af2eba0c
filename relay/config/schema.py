"""The JSON Schema of a configuration file, for editors and for `relay schema config`."""

from typing import Any, Final

from relay import schemes
from relay.config.settings import Settings

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12. A file may contain a part of the configuration, so no block and no key is required."""
    schema = Settings.model_json_schema(mode="validation")
    kinds = schema["$defs"]
    for part in (schema, kinds["CargoBlock"], kinds["BrokerBlock"]):
        part.pop("required", None)
    kinds["WebhookSource"]["properties"]["scheme"]["examples"] = sorted(schemes.names())
    return {"$schema": _DIALECT, **schema, "title": "Relay's configuration"}
