"""The document says what is served, no more and no less, and the page shows it without help from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from serve_app.app import operations_of
from serve_app.http.docs import Documentation
from serve_app.http.document import codes_of, openapi_document
from serve_app.http.operation import Operation
from serve_app.http.response import Response
from serve_app.http.router import Router
from serve_app.http.samples import sample
from serve_app.problems import Code
from tests.unit.http.exchange import Exchange, Keys, ListThings, NewThing, Things, admission_of, ask, edge, limits_of

_THINGS = Things()
_OPERATIONS = _THINGS.operations()


@pytest.fixture(scope="module")
def gateway() -> list[Operation]:
    """Return every operation of the gateway; none is called, so their services are absent."""

    class Absent:
        def __getattr__(self, name: str) -> Any:
            return None

    services: Any = Absent()
    return list(operations_of(services))


@pytest.fixture(scope="module")
def document(gateway: list[Operation]) -> dict[str, Any]:
    """Return the gateway's document."""
    return openapi_document(gateway, "1.2.3")


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    """By the schema of OpenAPI 3.1, its examples' schemas included."""
    OpenAPIV31SpecValidator(document).validate()


def test_what_is_documented_is_what_is_served(gateway: list[Operation], document: dict[str, Any]) -> None:
    """Each method of each path, the documentation's own included."""
    documented = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert documented == {(operation.method, operation.path) for operation in gateway}
    assert {("GET", "/docs"), ("GET", "/openapi.json"), ("POST", "/v1/payments")} <= documented


def test_operations_are_told_apart(document: dict[str, Any]) -> None:
    """Generated clients name their functions after these."""
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"\w+", each) for each in ids), ids


def test_each_operation_says_who_may_call_it(gateway: list[Operation], document: dict[str, Any]) -> None:
    """An open one says so too."""
    for operation in gateway:
        described = document["paths"][operation.path][operation.method.lower()]
        assert described["security"] == ([{"api_key": [operation.scope]}] if operation.scope else [])
        identified = operation.scope is not None or operation.verify is not None
        assert ("401" in described["responses"]) == identified


def test_what_is_counted_says_how_its_limits_stand(gateway: list[Operation], document: dict[str, Any]) -> None:
    """On the answer and on the refusal; an open operation is not counted, and of signed ones only what is refused."""
    limited = {"RateLimit", "RateLimit-Policy"}
    for operation in gateway:
        described = document["paths"][operation.path][operation.method.lower()]
        answers = [described["responses"][str(status)]["headers"].keys() for status in operation.answers]
        assert all((limited <= headers) == (operation.scope is not None) for headers in answers)
        refused = described["responses"].get("429")
        assert (refused is not None) == (operation.scope is not None or operation.verify is not None)
        assert refused is None or {*limited, "Retry-After"} <= refused["headers"].keys()


def test_parameters_are_declared(document: dict[str, Any]) -> None:
    """Those of the path, of the query and of the headers."""
    listed = document["paths"]["/v1/payments"]["get"]["parameters"]
    assert {"limit", "starting_after", "status", "created_gte", "created_lt"} <= {each.get("name") for each in listed}
    captured = document["paths"]["/v1/payments/{payment_id}/capture"]["post"]["parameters"]
    assert {"name": "payment_id", "in": "path", "required": True, "schema": {"type": "string"}} in captured
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in captured


def test_a_signed_message_says_what_it_is_signed_with(document: dict[str, Any]) -> None:
    """Its headers and what is answered to a wrong one stand where a key stands else."""
    described = document["paths"]["/v1/processors/{name}/callbacks"]["post"]
    references = {each["$ref"].rpartition("/")[2] for each in described["parameters"] if "$ref" in each}
    assert {"WebhookId", "WebhookTimestamp", "WebhookSignature"} <= references
    assert references <= document["components"]["parameters"].keys()
    assert "signature_invalid" in described["responses"]["401"]["content"]["application/problem+json"]["examples"]
    assert {"404", "429", "503"} <= described["responses"].keys()


def test_text_is_documented_by_its_media_type(gateway: list[Operation], document: dict[str, Any]) -> None:
    """What is not JSON has no model."""
    described = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert described == {"text/plain; version=0.0.4; charset=utf-8": {"schema": {"type": "string"}}}
    [operation] = [operation for operation in gateway if operation.path == "/metrics"]
    assert list(operation.answers.values()) == list(described)


def test_a_body_is_required_where_the_router_requires_it(gateway: list[Operation], document: dict[str, Any]) -> None:
    """A capture may come without one, a payment not."""
    for operation in gateway:
        body = document["paths"][operation.path][operation.method.lower()].get("requestBody")
        assert (body is None) == (operation.request is None)
        assert body is None or body["required"] == operation.needs_body


def test_examples_of_requests_are_accepted(gateway: list[Operation], document: dict[str, Any]) -> None:
    """What the page tells to send can be sent."""
    for operation in gateway:
        if operation.request is not None:
            body = document["paths"][operation.path][operation.method.lower()]["requestBody"]
            operation.request.model_validate(body["content"]["application/json"]["example"])


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
async def test_every_problem_that_comes_is_documented(operation: Operation) -> None:
    """Each way of asking wrongly ends in a status that the document has; 405 belongs to the path."""
    documented = {code.status for code in codes_of(operation)} | set(operation.answers) | {201, 404}
    app = edge(Things())
    path = operation.path.replace("{thing_id}", "a")
    headers = [(b"authorization", b"Bearer sk_test_0123456789abcdefghijklmnopqrstuv")]
    asked: list[Exchange] = [
        await ask(app, operation.method, path, headers=given, body=body, query=query)
        for given in ([], headers, [*headers, (b"content-type", b"application/json"), (b"idempotency-key", b"")])
        for body in (b"", b"{", b"[]", b"x" * 70_000)
        for query in (b"", b"a=1", b"%ff=%ff")
    ]
    assert {answer.status for answer in asked} <= documented


def test_an_unknown_problem_is_a_mistake() -> None:
    """A typing error in a declaration is found when the application starts."""
    operation = Operation("GET", "/a", _THINGS.answer, "", "", problems=("not_fuond",))
    with pytest.raises(KeyError):
        codes_of(operation)


@pytest.mark.parametrize("model", [NewThing, ListThings])
def test_a_sample_is_valid(model: type[NewThing | ListThings]) -> None:
    """The plainest value of a schema is one."""
    schema = model.model_json_schema()
    model.model_validate(sample(schema, schema.get("$defs", {})))


def test_a_recursive_model_has_a_finite_sample() -> None:
    """It ends somewhere."""
    tree = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}
    assert "None" in repr(sample(tree, {"Tree": tree}))


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("href", "src") and value:
                self.references.append(value)
            assert name != "style"
            assert not name.startswith("on")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def _served(path: str) -> Exchange:
    documentation = Documentation(_OPERATIONS, "1.2.3")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        router = Router(documentation.operations(), Keys(), limits_of(), admission_of())
        await router({**scope, "request_id": "r-1"}, receive, send)

    return await ask(app, "GET", path)


async def test_the_page_is_whole_and_needs_nothing_from_elsewhere() -> None:
    """Well-formed, without scripts, and every reference leads to this server."""
    answer = await _served("/docs")
    page = _Page(answer.body.decode())
    assert page.open == []
    assert "script" not in page.tags
    assert {"main", "nav", "h1", "h2", "caption"} <= set(page.tags)
    assert len(set(page.ids)) == len(page.ids)
    anchors = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert anchors <= set(page.ids)
    assert {reference for reference in page.references if not reference.startswith("#")} == {"/openapi.json", "data:,"}


async def test_each_problem_is_explained_where_its_type_points() -> None:
    """`type` is a reference to an anchor of the page."""
    page = _Page((await _served("/docs")).body.decode())
    for code in Code:
        path, _, anchor = code.uri.partition("#")
        assert path == "/docs"
        assert anchor in page.ids


async def test_the_page_may_do_nothing_but_be_shown() -> None:
    """Its policy allows its own style, by hash, and nothing else."""
    answer = await _served("/docs")
    policy = answer.header("content-security-policy") or ""
    [style] = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-type") == "text/html; charset=utf-8"


async def test_the_document_is_served() -> None:
    """As JSON, with the paths of the documentation itself."""
    answer = await _served("/openapi.json")
    assert answer.header("content-type") == "application/json"
    assert {"/things", "/docs", "/openapi.json"} <= answer.json["paths"].keys()


async def test_text_is_escaped() -> None:
    """A declaration cannot break the page."""
    odd = Operation("GET", "/odd", _THINGS.answer, "<b>&", "<i>")
    documentation = Documentation([odd], "<1>")
    [page, _] = documentation.operations()
    call: Any = None
    answer = await page.endpoint(call)
    assert isinstance(answer, Response)
    text = answer.body.decode()
    assert "<b>" not in text
    assert "<1>" not in text
