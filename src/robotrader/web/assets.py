"""Scripts, styles and icons, read into memory once: a path can then lead nowhere else."""

from pathlib import Path

from quart import Quart, Response
from werkzeug.exceptions import NotFound

MIME_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", "": "text/plain"}
"""Said here, because some systems' own tables call scripts text/plain, which no browser runs; LICENSE has no suffix."""


def register(app: Quart, folder: Path) -> None:
    """Serve the files below `folder` that have a known type under `/static/`."""
    files = {
        path.relative_to(folder).as_posix(): (path.read_bytes(), MIME_TYPES[path.suffix])
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in MIME_TYPES
    }

    async def static(name: str) -> Response:
        """Give one file."""
        if name not in files:
            raise NotFound(f"There is no {name}. If it is a third-party file: run `make assets`.")
        data, mime_type = files[name]
        return Response(data, content_type=f"{mime_type}; charset=utf-8")

    app.add_url_rule("/static/<path:name>", "static", static)
