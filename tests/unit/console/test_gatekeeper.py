"""Who is let in by a session."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest
from starlette.types import Scope

from actors.runtime.errors import Unavailable
from serve_app.console.cookie import SessionCookie
from serve_app.console.gatekeeper import Gatekeeper
from serve_app.console.session import IDLE_S, Session, SessionsAway
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.http.router import Router
from serve_app.merchants.secrets import Scope as KeyScope
from serve_app.middleware.authentication import OPERATOR_SCOPE, Caller
from serve_app.middleware.faults import Faults
from serve_app.middleware.request_id import RequestId
from serve_app.problems import Code, Problem
from tests.unit.http.exchange import KEY, Keys, admission_of, ask, limits_of

_OPERATOR = Caller(UUID(int=7), UUID(int=8), False, frozenset({"admin"}), None)
_COOKIE = (b"cookie", b"easypay-ops=token")
_OURS = (b"sec-fetch-site", b"same-origin")


class Kept:
    """Sessions that a test holds in its hands."""

    def __init__(self) -> None:
        self.sessions = {"token": Session("ab", 0.0, 0.0)}
        self.is_away = False
        self.asked = 0

    async def begin(self, key_digest: str) -> str:
        raise NotImplementedError

    async def find(self, token: str) -> Session | None:
        self.asked += 1
        if self.is_away:
            raise SessionsAway("away")
        return self.sessions.get(token)

    async def use(self, token: str) -> str | None:
        raise NotImplementedError

    async def end(self, token: str) -> None:
        raise NotImplementedError


class Digests:
    """One key, by its digest."""

    def __init__(self) -> None:
        self.caller: Caller | None = _OPERATOR
        self.uses = 0
        self.is_away = False

    def digest(self, secret: str) -> bytes:
        raise NotImplementedError

    async def of_digest(self, hashed: bytes) -> Caller | None:
        assert hashed == b"\xab"
        if self.is_away:
            raise Unavailable("database", "away", 1.0)
        return self.caller

    def used(self, caller: Caller) -> None:
        self.uses += 1


class Strangers:
    """Counts those that nobody knows."""

    def __init__(self) -> None:
        self.counted = 0

    async def admit_unknown(self, scope: Scope) -> None:
        self.counted += 1


class Fixture:
    """A gatekeeper with all that it asks."""

    def __init__(self) -> None:
        self.kept, self.keys, self.strangers, self.now = Kept(), Digests(), Strangers(), 0.0
        self.gatekeeper = Gatekeeper(self.kept, SessionCookie("easypay"), self.keys, lambda: self.now)

    async def caller(self, *headers: tuple[bytes, bytes], method: str = "GET") -> Caller | None:
        return await self.gatekeeper.caller({"headers": headers, "method": method}, self.strangers)

    async def refused(self, *headers: tuple[bytes, bytes], method: str = "GET") -> Problem:
        with pytest.raises(Problem) as refusal:
            await self.caller(*headers, method=method)
        return refusal.value


async def test_a_session_stands_for_its_key() -> None:
    """Whose use is noted; a process counts a token that it has not met among the unknown keys, once."""
    fixture = Fixture()
    for _ in range(3):
        assert await fixture.caller(_COOKIE) is _OPERATOR
    assert (fixture.keys.uses, fixture.strangers.counted) == (3, 1)


async def test_without_a_session_or_with_a_key_it_says_nothing() -> None:
    """Then the key is what counts; a planted cookie takes nothing from it."""
    fixture = Fixture()
    assert await fixture.caller() is None
    assert await fixture.caller(_COOKIE, KEY) is None
    assert fixture.kept.asked == 0


@pytest.mark.parametrize("ended", ["session", "key"])
async def test_one_that_is_over_is_told_and_forgotten(ended: str) -> None:
    """Ended itself, or its key was revoked; each try counts as one with an unknown key."""
    fixture = Fixture()
    assert await fixture.caller(_COOKIE) is _OPERATOR
    if ended == "session":
        fixture.kept.sessions.clear()
    else:
        fixture.keys.caller = None
    problem = await fixture.refused(_COOKIE)
    assert problem.code is Code.AUTHENTICATION_REQUIRED
    assert b"Max-Age=0" in dict(problem.headers)[b"set-cookie"]


async def test_another_site_cannot_act_through_it() -> None:
    """Not even a look at the sessions is taken; the same request of our page is let in."""
    fixture = Fixture()
    problem = await fixture.refused(_COOKIE, (b"sec-fetch-site", b"cross-site"), method="POST")
    assert (problem.code, fixture.kept.asked) == (Code.PERMISSION_DENIED, 0)
    assert await fixture.caller(_COOKIE, _OURS, method="POST") is _OPERATOR


async def test_while_redis_is_away_a_known_session_may_look() -> None:
    """Until it is over by itself; it may not act, and nobody new is let in."""
    fixture = Fixture()
    assert await fixture.caller(_COOKIE) is _OPERATOR
    fixture.kept.is_away = True
    assert await fixture.caller(_COOKIE) is _OPERATOR
    acting = await fixture.refused(_COOKIE, _OURS, method="POST")
    stranger = await fixture.refused((b"cookie", b"easypay-ops=other"))
    fixture.now = IDLE_S
    late = await fixture.refused(_COOKIE)
    for problem in (acting, stranger, late):
        assert problem.code is Code.OVERLOADED
        assert "Redis" in problem.detail
        assert problem.retry_after_s


async def test_while_the_database_is_away_a_known_session_may_look() -> None:
    """It may not act; and nobody whose key this process has not read is let in."""
    fixture = Fixture()
    assert await fixture.caller(_COOKIE) is _OPERATOR
    fixture.keys.is_away = True
    assert await fixture.caller(_COOKIE) is _OPERATOR
    assert (await fixture.refused(_COOKIE, _OURS, method="POST")).code is Code.OVERLOADED
    stranger = Fixture()
    stranger.keys.is_away = True
    assert (await stranger.refused(_COOKIE)).code is Code.OVERLOADED


class _Doors:
    """An operation for operators, one for merchants, and one that has a page for those it refuses."""

    async def answer(self, call: Call) -> Response:
        return json_response(200, {"key": call.known_caller.key_id.int})

    def operations(self) -> Sequence[Operation]:
        return (
            Operation("GET", "/ops/thing", self.answer, "See", "Ops", "admin"),
            Operation("POST", "/ops/thing", self.answer, "Do", "Ops", "admin"),
            Operation("GET", "/things", self.answer, "List", "Things", "things:read"),
            Operation(
                "GET", "/ops", self.answer, "Open", "Ops", "admin",
                refused=lambda problem: Response(problem.code.status, b"sign in", ((b"content-type", b"text/html"),)),
            ),
        )  # fmt: skip


async def test_the_router_takes_sessions_for_what_operators_do() -> None:
    """And for nothing else; a key that comes along is what counts, and people are refused with a page."""
    fixture = Fixture()
    router = Router(_Doors().operations(), Keys(), limits_of(), admission_of(), fixture.gatekeeper)
    app = RequestId(Faults(router))
    assert (await ask(app, "GET", "/ops/thing", headers=[_COOKIE])).json == {"key": 7}
    assert (await ask(app, "POST", "/ops/thing", headers=[_COOKIE, _OURS])).status == 200
    assert (await ask(app, "POST", "/ops/thing", headers=[_COOKIE])).status == 403
    assert (await ask(app, "GET", "/things", headers=[_COOKIE])).status == 401
    assert (await ask(app, "GET", "/ops/thing", headers=[_COOKIE, KEY])).status == 403
    page = await ask(app, "GET", "/ops")
    assert (page.status, page.body, page.header("content-type")) == (401, b"sign in", "text/html")


def test_the_scope_of_sessions_is_that_of_operators() -> None:
    """By the same name."""
    assert KeyScope.ADMIN.value == OPERATOR_SCOPE
