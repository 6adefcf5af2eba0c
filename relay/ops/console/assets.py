"""The files that pages load, held in memory, each under an address that changes with its contents.

htmx and uPlot come from npm (`.ci/browser.py`). A checkout without them has the same pages, without what they add.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import web

from relay.ops.guard import STATIC

_FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, and the hash of its contents."""

    body: bytes
    content_type: str
    version: str


class Assets:
    """All files of the pages, by name; those from npm as `vendor/NAME`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = {
            name: Asset(body, _TYPES[Path(name).suffix], sha256(body).hexdigest()[:12]) for name, body in files.items()
        }

    def address(self, name: str) -> str:
        """Where the file is. Raises KeyError."""
        return f"{STATIC}{name}?v={self._files[name].version}"

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return name in self._files

    async def serve(self, request: web.Request) -> web.Response:
        """`GET /static/NAME`. What has its version in its address never changes."""
        asset = self._files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        caching = _FOREVER if request.query.get("v") == asset.version else "no-cache"
        return web.Response(
            body=asset.body, content_type=asset.content_type, charset="utf-8", headers={"Cache-Control": caching}
        )


def read_assets() -> Assets:
    """The files in the package."""
    found = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _TYPES)
    return Assets({path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in found})
