"""The OpenAPI document and the routes say the same, and no generated call breaks one (G5 of the faults)."""

from __future__ import annotations

import json
import re

import pytest
from flask import Flask
from pydantic.alias_generators import to_camel

from api.app import PREFIXES, create_app
from api.openapi.document import document
from api.openapi.page import FILES
from api.parts import Parts


@pytest.fixture(scope="module")
def app(parts: Parts) -> Flask:
    """The app as it is served."""
    return create_app(parts)


def served(app: Flask) -> set[tuple[str, str]]:
    """Every method and path of *app*, in OpenAPI's spelling and the contract's names; but the console's."""
    return {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", lambda name: f"{{{to_camel(name[1])}}}", rule.rule))
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("ops.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def documented() -> set[tuple[str, str]]:
    """Every method and path of the OpenAPI document."""
    paths = json.loads(document())["paths"]
    return {
        (method.upper(), prefix + path)
        for path, operations in paths.items()
        for method in operations
        if method != "servers"
        for prefix in ([""] if "servers" in operations else PREFIXES)
    }


def test_every_route_is_documented_and_every_documented_route_isserved(app: Flask) -> None:
    assert served(app) == documented()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_document_and_its_page_need_no_key_and_load_nothing_from_elsewhere(app: Flask, prefix: str) -> None:
    client = app.test_client()

    page = client.get(f"{prefix}/c2a/docs")

    assert client.get(f"{prefix}/c2a/openapi.json").json == json.loads(document())
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert set(named) == {f"docs/{file}" for file in (*FILES, "start.js")}
    for file in named:
        with client.get(f"{prefix}/c2a/{file}") as told:
            assert told.status_code == 200


@pytest.mark.parametrize("file", ["index.css", "..%2f__init__.py", "../flask_swagger_ui.py", "x"])
def test_the_page_serves_its_own_files_and_no_other(app: Flask, file: str) -> None:
    assert app.test_client().get(f"/api/v1/c2a/docs/{file}").status_code == 404
