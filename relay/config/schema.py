"""The JSON Schema of a configuration file, for editors and for `relay schema config`."""

from typing import Any, Final

from relay import schemes
from relay.config.settings import Settings

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Draft 2020-12. One file of a folder may hold a part, so nothing is required at the top."""
    schema = Settings.model_json_schema(mode="validation")
    schema.pop("required", None)
    scheme = schema["$defs"]["WebhookSource"]["properties"]["scheme"]
    scheme["examples"] = sorted(schemes.NAMES)
    return {"$schema": _DIALECT, **schema, "title": "Relay's configuration"}
