"""The documentation page: the OpenAPI document for people. It needs nothing from the internet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from pydantic_core import to_json

from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response

_HTML_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
)
_STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{border-bottom:1px solid;margin-top:3rem}code,pre{font:14px/1.4 ui-monospace,monospace}
pre{overflow:auto;padding:.75rem;border:1px solid;border-radius:.4rem}details{margin:1rem 0}
summary{cursor:pointer}.method{font-weight:700}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0}
"""


class Documentation:
    """Shows the operations as a page and as the document itself."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._json = to_json(document)
        self._page = _page(document).encode()

    def operations(self) -> Sequence[Operation]:
        """Return the operations that show them."""
        return (
            Operation("GET", "/docs", self.page, "Read this", "Documentation"),
            Operation("GET", "/openapi.json", self.document, "Get this as an OpenAPI document", "Documentation"),
        )

    async def page(self, _: Call) -> Response:
        """Show the page."""
        return Response(200, self._page, _HTML_HEADERS)

    async def document(self, _: Call) -> Response:
        """Show the document."""
        return json_response(200, self._json)


def _page(document: dict[str, Any]) -> str:
    sections = [
        _section(method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    codes = "".join(
        f'<tr id="{code}"><td><code>{code}</code></td></tr>'
        for code in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    )
    schemas = "".join(
        f"<details><summary><code>{escape(name)}</code></summary>{_code(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style><main>"
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])} "
        '<a href="/openapi.json">openapi.json</a></p>'
        f"{''.join(sections)}<h2>Objects</h2>{schemas}<h2>Problem codes</h2><table>{codes}</table></main></html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    parameters = "".join(
        f"<li><code>{escape(parameter['name'])}</code> ({escape(parameter['in'])})</li>"
        for parameter in operation["parameters"]
    )
    return (
        f"<h2>{escape(operation['summary'])}</h2>"
        f'<p><code><span class="method">{method.upper()}</span> {escape(path)}</code></p>'
        f"<p>{escape(operation.get('description', ''))}</p>"
        f"{f'<ul>{parameters}</ul>' if parameters else ''}{_curl(method, path, operation)}"
        f"<table><tr><th>Status</th><th></th></tr>{answers}</table>"
    )


def _curl(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [f'curl -X {method.upper()} "$EASYPAY_URL{path}"']
    if "security" in operation:
        lines.append('-H "Authorization: Bearer $EASYPAY_KEY"')
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if "requestBody" in operation:
        example = operation["requestBody"]["content"]["application/json"].get("example", {})
        lines.append(f"-H \"Content-Type: application/json\" -d '{to_json(example).decode()}'")
    text = " \\\n  ".join(lines)
    return f"<pre>{escape(text)}</pre>"


def _code(schema: Any) -> str:
    return f"<pre>{escape(to_json(schema, indent=2).decode())}</pre>"
