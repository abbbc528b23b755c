"""The OpenAPI 3.1 document, made from the same declarations as the routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app.http.operation import Operation
from serve_app.problems import Code

_REFERENCES = "#/components/schemas/{model}"
_CODES = {code.code: code for code in Code}
_EVERYWHERE = ("internal_error", "overloaded")
_WITH_KEY = ("authentication_required", "permission_denied", "rate_limited")
_WITH_BODY = ("invalid_request", "payload_too_large", "unsupported_media_type", "validation_failed")

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error, after RFC 9457. `code` is what to program against.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": list(_CODES)},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "payment": {"$ref": "#/components/schemas/PaymentView"},
        "decline_code": {"type": "string"},
    },
}
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: one key, one operation, one answer. 1-255 visible ASCII characters.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def openapi_document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the document of all operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EasyPay",
            "version": version,
            "description": "Take, capture, void and refund payments. Amounts are integers in minor units (ISO 4217).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**_schemas(operations), "Problem": _PROBLEM},
            "securitySchemes": {
                "api_key": {"type": "http", "scheme": "bearer", "description": "sk_test_... or sk_live_..."}
            },
        },
    }


def _models(operation: Operation) -> list[type[BaseModel]]:
    declared = [operation.request, *operation.answers.values()]
    return [model for model in declared if model is not None]


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    models = {model for operation in operations for model in _models(operation)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "validation") for model in ordered], ref_template=_REFERENCES)
    schemas: dict[str, Any] = definitions.get("$defs", {})
    return schemas


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.endpoint.__qualname__.replace("Endpoints.", "_").lower(),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {**_answers(operation), **_problem_answers(operation)},
    }
    if operation.idempotent:
        described["parameters"].append(_KEY_PARAMETER)
    if operation.scope is not None:
        described["security"] = [{"api_key": []}]
        described["description"] = f"Needs the scope `{operation.scope}`."
    if operation.request is not None:
        described["requestBody"] = _request_body(operation, operation.request)
    return described


def _request_body(operation: Operation, model: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": _REFERENCES.format(model=model.__name__)}}
    if operation.example is not None:
        content["example"] = operation.example
    required = any(member.is_required() for member in model.model_fields.values())
    return {"required": required, "content": {"application/json": content}}


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(ref_template=_REFERENCES)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "schema": _inlined(member, definitions),
        }
        for name, member in schema["properties"].items()
    ]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema with its references resolved: query models are in no component."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    return {name: _inlined(value, definitions) for name, value in schema.items()}


def _answers(operation: Operation) -> dict[str, Any]:
    return {str(status): _answer(status, model) for status, model in operation.answers.items()}


def _answer(status: int, model: type[BaseModel] | None) -> dict[str, Any]:
    description = "Accepted: the outcome is not known yet." if status == 202 else "Done."
    if model is None:
        return {"description": description}
    reference = {"$ref": _REFERENCES.format(model=model.__name__)}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _problem_answers(operation: Operation) -> dict[str, Any]:
    codes = [*operation.problems, *_EVERYWHERE]
    if operation.scope is not None:
        codes += _WITH_KEY
    if operation.request is not None:
        codes += _WITH_BODY
    if operation.query is not None:
        codes.append("validation_failed")
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(_CODES[code].status, []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {
            "description": " or ".join(f"`{code}`" for code in found),
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status, found in sorted(by_status.items())
    }
