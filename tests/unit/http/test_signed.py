"""A signed message is verified before anything is made of it, and only what is refused is counted."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp

from serve_app.http.operation import Call, Headers, Operation
from serve_app.http.response import Response, json_response
from serve_app.http.router import Router
from serve_app.middleware.faults import Faults
from serve_app.middleware.rate_limit import RateLimitHeaders
from serve_app.middleware.request_id import RequestId
from serve_app.problems import Code, Problem
from tests.unit.http.exchange import JSON, Keys, NewThing, Thing, admission_of, ask, limits_of

_BODY = b'{ "amount": 5 }'


class Signed:
    """An endpoint behind a signature that is the word `good`; `verified` are the bodies that were looked at."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.verified: list[bytes] = []

    def verify(self, parameters: Mapping[str, str], headers: Headers, body: bytes) -> str:
        """Return the id of the message."""
        assert parameters == {"name": "a"}
        self.verified.append(body)
        if dict(headers).get(b"signature") != b"good":
            raise Problem(Code.SIGNATURE_INVALID, "No.")
        return "msg_1"

    async def answer(self, call: Call) -> Response:
        """Answer."""
        self.calls.append(call)
        return json_response(200, {"id": "thing_1"})

    def app(self, per_minute: int = 0) -> ASGIApp:
        """Return the application, which so many unknown callers may use in a minute; 0: any number."""
        operation = Operation(
            "POST", "/told/{name}", self.answer, "Tell", "Things", verify=self.verify, request=NewThing,
            answers={200: Thing},
        )  # fmt: skip
        limits = limits_of(unknown_per_minute=per_minute)
        return RequestId(RateLimitHeaders(Faults(Router([operation], Keys(), limits, admission_of()))))


_GOOD, _BAD = [JSON, (b"signature", b"good")], [JSON, (b"signature", b"bad")]


async def test_the_endpoint_gets_what_was_verified() -> None:
    """The signature is of the bytes as they came; the endpoint has what they say, and the message's id."""
    signed = Signed()
    answer = await ask(signed.app(), "POST", "/told/a", headers=_GOOD, body=[_BODY[:4], _BODY[4:]])
    assert answer.status == 200
    assert signed.verified == [_BODY]
    [call] = signed.calls
    assert (call.message_id, call.body_as(NewThing), call.caller) == ("msg_1", NewThing(amount=5), None)


async def test_nothing_is_made_of_what_is_not_signed() -> None:
    """Not even whether it is JSON is told."""
    signed = Signed()
    for body in (_BODY, b"nonsense", b""):
        answer = await ask(signed.app(), "POST", "/told/a", headers=_BAD, body=body)
        assert (answer.status, answer.json["code"]) == (401, "signature_invalid")
    assert signed.calls == []


async def test_what_is_signed_and_wrong_is_told() -> None:
    """As any other body is."""
    app = Signed().app()
    assert (await ask(app, "POST", "/told/a", headers=_GOOD, body=b"nonsense")).status == 400
    assert (await ask(app, "POST", "/told/a", headers=_GOOD, body=b"{}")).status == 422


async def test_a_body_that_is_too_large_is_not_looked_at() -> None:
    """It is bounded before it is verified."""
    signed = Signed()
    answer = await ask(signed.app(), "POST", "/told/a", headers=_GOOD, body=[b"x" * 40_000] * 2)
    assert (answer.status, signed.verified) == (413, [])


async def test_whoever_signs_badly_is_refused_for_a_while() -> None:
    """He is counted with those who have no known key; a good signature is not counted, and let in meanwhile."""
    signed = Signed()
    app = signed.app(per_minute=3)
    bad = [await ask(app, "POST", "/told/a", headers=_BAD, body=_BODY) for _ in range(5)]
    assert [answer.status for answer in bad] == [401, 401, 401, 429, 429]
    assert bad[0].header("ratelimit") is not None
    assert bad[-1].header("retry-after") is not None
    good = [await ask(app, "POST", "/told/a", headers=_GOOD, body=_BODY) for _ in range(5)]
    assert [answer.status for answer in good] == [200] * 5
    assert good[0].header("ratelimit") is None
