"""The signing page: one set of static files, pinned by hash, the same wherever a person signs.

`static/` holds what is served; `static/*.js` are built from `src/` by `build.mjs`. PINNED.json holds the
SHA-256 of every file. A process that serves the page reads the files once, refuses to start when one differs,
and serves exactly the bytes it checked.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from identity.errors import SigningRefused

HERE = Path(__file__).parent
FORMAT = "shelian-page/1"
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


def load_page(directory: Path = HERE) -> Mapping[str, bytes]:
    """The files of the page by name, checked against PINNED.json.

    Raises SigningRefused `page.not_pinned` when a file is missing, unknown or changed.
    """
    pinned: dict[str, str] = json.loads((directory / "PINNED.json").read_bytes())["files"]
    files = {path.name: path.read_bytes() for path in sorted((directory / "static").iterdir())}
    found = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    if found != pinned:
        different = sorted(name for name in {*found, *pinned} if found.get(name) != pinned.get(name))
        raise SigningRefused(
            "page.not_pinned",
            "the signing page is not the pinned one",
            got=different,
            expected="the files of PINNED.json",
        )
    return files


def page_routes(
    files: Mapping[str, bytes], pages: Mapping[str, str], configuration: Callable[[], Mapping[str, Any]]
) -> list[Route]:
    """Routes for the pages (`path -> file`), their static files, and `/config.json`."""

    def serve(name: str) -> Callable[[Request], Response]:
        def answer(_: Request) -> Response:
            return Response(files[name], media_type=_MEDIA_TYPES[Path(name).suffix])

        return answer

    def config(_: Request) -> Response:
        return JSONResponse(configuration())

    routes = [Route(path, serve(name)) for path, name in pages.items()]
    routes += [Route(f"/static/{name}", serve(name)) for name in files if not name.endswith(".html")]
    return [*routes, Route("/config.json", config)]
