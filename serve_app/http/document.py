"""The OpenAPI 3.1 document, made from the same declarations as the routes.

Source: OpenAPI Specification 3.1.0; RFC 9457 for the problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from serve_app.http.document_parts import (
    ANSWERS,
    HEADERS,
    IDEMPOTENCY_KEY,
    PROBLEM,
    REQUEST_ID,
    SECURITY,
    SIGNATURE,
    TIMEOUT,
    problem_example,
)
from serve_app.http.operation import Operation
from serve_app.http.samples import sample
from serve_app.problems import PROBLEM_JSON, Code

_REFERENCES = "#/components/schemas/{model}"
_ABOUT = (
    "Take, capture, void and refund payments. Amounts are integers in minor units, currencies the codes of ISO 4217, "
    "times RFC 3339 in UTC. Each error is a problem of RFC 9457 with a `code` to program against."
)

# What an operation can be answered with because of what it is, in addition to the problems that it names.
_ALWAYS = (Code.INTERNAL_ERROR,)
_WITH_KEY = (
    Code.INVALID_REQUEST,
    Code.AUTHENTICATION_REQUIRED,
    Code.PERMISSION_DENIED,
    Code.VALIDATION_FAILED,
    Code.RATE_LIMITED,
    Code.OVERLOADED,
    Code.DEADLINE_EXCEEDED,
)
_SIGNED = (Code.NOT_FOUND, Code.RATE_LIMITED, Code.SIGNATURE_INVALID)
_WITH_BODY = (
    Code.INVALID_REQUEST,
    Code.PAYLOAD_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.VALIDATION_FAILED,
    Code.DEADLINE_EXCEEDED,
)
_WITH_QUERY = (Code.INVALID_REQUEST, Code.VALIDATION_FAILED)
_WITH_IDEMPOTENCY_KEY = (Code.INVALID_REQUEST, Code.VALIDATION_FAILED)
_ADMITTED = (Code.VALIDATION_FAILED, Code.OVERLOADED, Code.DEADLINE_EXCEEDED)
_LIMITED = ("RateLimit", "RateLimit-Policy")


def openapi_document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the document as JSON values. It takes milliseconds: make it once.

    Raises:
        KeyError: an operation names a problem that does not exist.
    """
    models = _Models(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "EasyPay",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": {**models.schemas, "Problem": PROBLEM},
            "parameters": {
                "IdempotencyKey": IDEMPOTENCY_KEY,
                "RequestId": REQUEST_ID,
                "Timeout": TIMEOUT,
                **SIGNATURE,
            },
            "headers": HEADERS,
            "securitySchemes": {"api_key": SECURITY},
        },
    }


def codes_of(operation: Operation) -> list[Code]:
    """Return every problem that the operation can be answered with, by status.

    Raises:
        KeyError: it names a problem that does not exist.
    """
    codes = {*_ALWAYS, *(Code[name.upper()] for name in operation.problems)}
    for applies, implied in (
        (operation.scope is not None, _WITH_KEY),
        (operation.verify is not None, _SIGNED),
        (operation.request is not None, _WITH_BODY),
        (operation.query is not None, _WITH_QUERY),
        (operation.idempotent, _WITH_IDEMPOTENCY_KEY),
        (operation.work is not None, _ADMITTED),
    ):
        if applies:
            codes.update(implied)
    return sorted(codes, key=lambda code: (code.status, code.code))


class _Models:
    """The schemas of all models. Requests and queries show what is taken, answers what is given."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        for operation in operations:
            taken = [model for model in (operation.request, operation.query) if model is not None]
            given = [model for model in operation.answers.values() if isinstance(model, type)]
            wanted |= dict.fromkeys([(model, "validation") for model in taken])
            wanted |= dict.fromkeys([(model, "serialization") for model in given])
        self._references, definitions = models_json_schema(list(wanted), ref_template=_REFERENCES)
        self.schemas: dict[str, Any] = definitions.get("$defs", {})

    def content(self, model: type[BaseModel], mode: JsonSchemaMode, example: Any = None) -> dict[str, Any]:
        """Return the content of a body of this model, with an example."""
        schema = self._references[model, mode]
        if example is None:
            example = sample(schema, self.schemas)
        return {"application/json": {"schema": schema, "example": example}}

    def members(self, model: type[BaseModel]) -> list[tuple[str, bool, Any]]:
        """Return the name, whether it is required, and the schema of each member of a query."""
        reference = self._references[model, "validation"]
        schema = self.schemas[reference["$ref"].rpartition("/")[2]]
        required = schema.get("required", ())
        return [(name, name in required, member) for name, member in schema.get("properties", {}).items()]


def _operation(operation: Operation, models: _Models) -> dict[str, Any]:
    scope = operation.scope
    described: dict[str, Any] = {
        "operationId": "_".join((operation.method.lower(), *re.findall(r"\w+", operation.path))),
        "summary": operation.summary,
        "description": _who_may(operation),
        "tags": [operation.tag],
        "parameters": _parameters(operation, models),
        "responses": {**_answers(operation, models), **_problem_answers(operation)},
        "security": [{"api_key": [scope]}] if scope else [],
    }
    if operation.request is not None:
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": models.content(operation.request, "validation", operation.example),
        }
    return described


def _who_may(operation: Operation) -> str:
    if operation.verify is not None:
        return "Needs no key: the message is signed (Standard Webhooks)."
    if operation.scope is None:
        return "Needs no key."
    limited = " Counts against a stricter limit, too." if operation.sensitive else ""
    return f"Needs the scope `{operation.scope}`.{limited}"


def _parameters(operation: Operation, models: _Models) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query is not None:
        parameters += [
            {"name": name, "in": "query", "required": required, "schema": schema}
            for name, required, schema in models.members(operation.query)
        ]
    if operation.idempotent:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if operation.verify is not None:
        parameters += [{"$ref": f"#/components/parameters/{name}"} for name in SIGNATURE]
    if operation.work is not None:
        parameters.append({"$ref": "#/components/parameters/Timeout"})
    parameters.append({"$ref": "#/components/parameters/RequestId"})
    return parameters


def _answers(operation: Operation, models: _Models) -> dict[str, Any]:
    names = ["X-Request-Id"]
    names += _LIMITED if operation.scope is not None else ()
    names += ["Idempotent-Replayed"] if operation.idempotent else ()
    return {
        str(status): {
            "description": ANSWERS[status],
            "headers": _headers(*names),
            **_content(answer, models),
        }
        for status, answer in sorted(operation.answers.items())
    }


def _content(answer: type[BaseModel] | str | None, models: _Models) -> dict[str, Any]:
    if answer is None:
        return {}
    if isinstance(answer, str):
        return {"content": {answer: {"schema": {"type": "string"}}}}
    return {"content": models.content(answer, "serialization")}


def _problem_answers(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[Code]] = {}
    for code in codes_of(operation):
        by_status.setdefault(code.status, []).append(code)
    return {str(status): _problem_answer(status, codes) for status, codes in by_status.items()}


def _problem_answer(status: int, codes: Sequence[Code]) -> dict[str, Any]:
    names = ["X-Request-Id"]
    names += ["WWW-Authenticate"] if status == Code.AUTHENTICATION_REQUIRED.status else []
    names += _LIMITED if status == Code.RATE_LIMITED.status else ()
    names += ["Retry-After"] if any(code.asks_to_wait for code in codes) else []
    return {
        "description": " ".join(f"{code.title} (`{code.code}`)." for code in codes),
        "headers": _headers(*names),
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {code.code: {"value": problem_example(code)} for code in codes},
            }
        },
    }


def _headers(*names: str) -> Mapping[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
