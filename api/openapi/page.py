"""Where the OpenAPI document can be read: as JSON, and as a page that loads nothing from another host.

The page is Swagger UI 5, whose files come with the flask-swagger-ui package (of which we use nothing else);
version 4 cannot show OpenAPI 3.1. The Content-Security-Policy lets it run only what this host serves.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, send_from_directory
from werkzeug.exceptions import NotFound

from api.auth import public
from api.openapi.document import document

START: Final = "start.js"
FILES: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
"""What the page needs of Swagger UI, and all that is served of it."""

HEADERS: Final = {
    # Swagger UI sets style attributes and draws its marks as data: images; scripts are ours alone.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>C2A checkout API</title>
<link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/start.js"></script></body></html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null, persistAuthorization: false
});
"""


def blueprint() -> Blueprint:
    """The document and its page; neither needs a key."""
    routes = Blueprint("openapi", __name__)
    folder = Path(str(files("flask_swagger_ui"))) / "dist"

    @routes.get("/c2a/openapi.json")
    @public
    def openapi() -> Response:
        return Response(document(), content_type="application/json", headers={"Cache-Control": "no-cache"})

    @routes.get("/c2a/docs")
    @public
    def docs() -> Response:
        return Response(_PAGE, content_type="text/html; charset=utf-8", headers=HEADERS)

    @routes.get("/c2a/docs/<file>")
    @public
    def asset(file: str) -> Response:
        if file == START:
            return Response(_START, content_type="text/javascript; charset=utf-8", headers=HEADERS)
        if file not in FILES:
            raise NotFound
        return send_from_directory(folder, file, max_age=86_400)

    return routes
