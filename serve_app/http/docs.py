"""The documentation page: the OpenAPI document for people. It needs no script and nothing from the internet."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from pydantic_core import to_json

from serve_app.http.document import openapi_document
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Headers, Response, json_response
from serve_app.problems import Code

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { border-bottom: 1px solid var(--line); margin-top: 3rem }
code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { overflow: auto; padding: .75rem; border: 1px solid var(--line); border-radius: .4rem }
summary { cursor: pointer }
details { margin: .5rem 0 }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; font-weight: 600; padding-top: 1rem }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-top: 1px solid var(--line) }
code:target { outline: 2px solid }
:focus-visible { outline: 2px solid; outline-offset: 2px }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest())
_PAGE_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'sha256-" + _STYLE_HASH + b"'; img-src data:; base-uri 'none'; "
        b"form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Documentation:
    """Shows the operations as a page and as the document itself."""

    def __init__(self, declared: Sequence[Operation], version: str) -> None:
        document = openapi_document([*declared, *self.operations()], version)
        self._json = to_json(document)
        self._page = _page(document).encode()

    def operations(self) -> Sequence[Operation]:
        """Return the operations that show them."""
        answers = {200: None}
        return (
            Operation("GET", "/docs", self.page, "Read this page", "Documentation", answers=answers),
            Operation(
                "GET", "/openapi.json", self.document, "Get this page as an OpenAPI document", "Documentation",
                answers=answers,
            ),
        )  # fmt: skip

    async def page(self, _: Call) -> Response:
        """Show the page."""
        return Response(200, self._page, _PAGE_HEADERS)

    async def document(self, _: Call) -> Response:
        """Show the document."""
        return json_response(200, self._json)


def _page(document: Mapping[str, Any]) -> str:
    info = document["info"]
    operations = [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    contents = "".join(
        f'<li><a href="#{escape(operation["operationId"])}">{escape(operation["summary"])}</a></li>'
        for _, _, operation in operations
    )
    sections = "".join(_section(*operation, document["components"]) for operation in operations)
    schemas = "".join(
        _folded(f"<code>{escape(name)}</code>", schema) for name, schema in document["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<header><h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p><a href="/openapi.json">openapi.json</a></p></header>'
        f'<nav aria-label="Operations"><ul>{contents}</ul></nav>'
        f'<main>{sections}<h2 id="objects">Objects</h2>{schemas}{_problem_codes()}</main></body></html>'
    )


def _section(method: str, path: str, operation: Mapping[str, Any], components: Mapping[str, Any]) -> str:
    parameters = [_resolved(parameter, components) for parameter in operation["parameters"]]
    return (
        f'<section aria-labelledby="{escape(operation["operationId"])}">'
        f'<h2 id="{escape(operation["operationId"])}">{escape(operation["summary"])}</h2>'
        f"<p><code><strong>{method}</strong> {escape(path)}</code></p><p>{_prose(operation['description'])}</p>"
        f"<pre>{escape(_curl(method, path, operation, parameters))}</pre>"
        f"{_parameter_table(parameters)}{_answers(operation)}</section>"
    )


def _parameter_table(parameters: Iterable[Mapping[str, Any]]) -> str:
    rows = (
        (
            f"<code>{escape(parameter['name'])}</code>",
            escape(parameter["in"]) + (", required" if parameter["required"] else ""),
            _prose(parameter.get("description") or parameter["schema"].get("description", "")),
        )
        for parameter in parameters
    )
    return _table("Parameters", ("Name", "Where", "What"), rows)


def _answers(operation: Mapping[str, Any]) -> str:
    responses = operation["responses"].items()
    rows = ((escape(status), _prose(answer["description"])) for status, answer in responses)
    examples = "".join(
        _folded(f"Example of {escape(status)}", content["example"])
        for status, answer in responses
        for content in answer.get("content", {}).values()
        if "example" in content
    )
    return _table("Answers", ("Status", "What it means"), rows) + examples


def _problem_codes() -> str:
    # A problem's `type` refers to these: the code itself is the anchor.
    rows = ((f'<code id="{code.code}">{code.code}</code>', str(code.status), escape(code.title)) for code in Code)
    return '<h2 id="problems">Problems</h2>' + _table("Codes", ("Code", "Status", "What it means"), rows)


def _curl(method: str, path: str, operation: Mapping[str, Any], parameters: Iterable[Mapping[str, Any]]) -> str:
    lines = [f'curl -X {method} "$EASYPAY_URL{path}"']
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $EASYPAY_KEY"')
    if any(parameter["name"] == "Idempotency-Key" for parameter in parameters):
        lines.append('-H "Idempotency-Key: $(uuidgen)"')
    if "requestBody" in operation:
        example = to_json(operation["requestBody"]["content"]["application/json"]["example"]).decode()
        lines += ['-H "Content-Type: application/json"', f"-d {shlex.quote(example)}"]
    return " \\\n  ".join(lines)


def _resolved(parameter: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in parameter:
        return parameter
    found: Mapping[str, Any] = components["parameters"][parameter["$ref"].rpartition("/")[2]]
    return found


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><tr>{head}</tr>{body}</table>"


def _folded(summary: str, content: Any) -> str:
    text = escape(to_json(content, indent=2).decode())
    return f"<details><summary>{summary}</summary><pre>{text}</pre></details>"


def _prose(text: str) -> str:
    """Return text as HTML, with what stands between backquotes as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
