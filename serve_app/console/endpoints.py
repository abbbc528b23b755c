"""The operations page over HTTP: its session, its live stream, its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from serve_app.console.assets import PATH as ASSETS_PATH
from serve_app.console.console import Console
from serve_app.console.cookie import PATH
from serve_app.console.gatekeeper import sessions_away
from serve_app.console.session import LIFETIME_S, SessionsAway
from serve_app.domain.errors import NotFound
from serve_app.domain.ids import Prefix, public_id
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Answer, Headers, Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.middleware.authentication import bearer
from serve_app.problems import Code, Problem

_SESSION = f"{PATH}/session"
_TAG = "Operations page"


class OperatorSession(BaseModel):
    """Who is signed in."""

    object: Literal["operator_session"]
    api_key: str


class ConsoleEndpoints:
    """Serves the page."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def operations(self) -> Sequence[Operation]:
        """Return the operations of the page."""
        admin, signed_in = Scope.ADMIN.value, {200: OperatorSession}
        return (
            Operation(
                "GET", PATH, self.page, "Open the operations page", _TAG, admin, refused=self.refused,
                answers={200: "text/html"},
            ),
            Operation(
                "POST", _SESSION, self.sign_in, "Sign in at the operations page", _TAG, admin, answers=signed_in,
            ),
            Operation("GET", _SESSION, self.look, "See who is signed in", _TAG, admin, answers=signed_in),
            Operation("PUT", _SESSION, self.use, "Keep a session from running out", _TAG, admin, answers=signed_in),
            Operation("DELETE", _SESSION, self.sign_out, "Sign out", _TAG, admin, answers={204: None}),
            Operation(
                "GET", f"{PATH}/events", self.events, "Watch the gateway live", _TAG, admin,
                answers={200: "text/event-stream"},
            ),
            Operation(
                "GET", f"{ASSETS_PATH}/{{version}}/{{name}}", self.asset, "Get a file of the operations page", _TAG,
                answers={200: "text/javascript"}, problems=("not_found",),
            ),
        )  # fmt: skip

    def refused(self, problem: Problem) -> Response:
        """Show the page to sign in at."""
        return self._console.documents.sign_in(problem)

    async def page(self, call: Call) -> Response:
        """Show the page; opening it counts as a use of the session."""
        return self._console.documents.console(await self._kept(call))

    async def sign_in(self, call: Call) -> Response:
        """Begin a session with the key that this request comes with.

        A session that the browser had is ended: whoever knew its token knows nothing of the new one.
        """
        secret = bearer(call.headers)
        if secret is None:
            raise Problem(Code.AUTHENTICATION_REQUIRED, "Send an admin key as `Authorization: Bearer sk_...`.")
        try:
            former = self._console.cookie.read(call.headers)
            if former is not None:
                await self._console.sessions.end(former)
            token = await self._console.sessions.begin(self._console.keys.digest(secret).hex())
        except SessionsAway:
            raise sessions_away() from None
        return self._signed_in(call, (self._console.cookie.write(token, call.headers, LIFETIME_S),))

    async def look(self, call: Call) -> Response:
        """Say who is signed in. That is no use: the page asks it of its own accord, with nobody there."""
        return self._signed_in(call, ())

    async def use(self, call: Call) -> Response:
        """Count a use of the session."""
        return self._signed_in(call, await self._kept(call))

    async def sign_out(self, call: Call) -> Response:
        """End the session, and have the browser forget it."""
        token = self._console.cookie.read(call.headers)
        try:
            if token is not None:
                await self._console.sessions.end(token)
        except SessionsAway:
            raise sessions_away() from None
        return Response(204, headers=(self._console.cookie.clear(call.headers),))

    async def events(self, call: Call) -> Answer:
        """Stream what the page shows."""
        streams, receive = self._console.streams, call.receive
        assert streams is not None, "it was said what to show"
        assert receive is not None, "the router gives it"
        token = self._console.cookie.read(call.headers) if bearer(call.headers) is None else None

        async def still_signed_in() -> bool:
            # A key that comes itself is looked at when the stream begins anew.
            return token is None or await self._console.gatekeeper.holder(token, only_looks=True) is not None

        return streams.open(receive, still_signed_in)

    async def asset(self, call: Call) -> Response:
        """Serve a file."""
        name = call.path_parameters["name"]
        answer = self._console.assets.answer(call.path_parameters["version"], name, call.headers)
        if answer is None:
            raise NotFound("file", "of that name")
        return answer

    async def _kept(self, call: Call) -> Headers:
        """Count a use; return the header with the token to hold from now on. Who cannot be asked counts nothing."""
        token = self._console.cookie.read(call.headers)
        if token is None or bearer(call.headers) is not None:
            return ()
        try:
            kept = await self._console.sessions.use(token)
        except SessionsAway:
            return ()
        return () if kept is None else (self._console.cookie.write(kept, call.headers, LIFETIME_S),)

    def _signed_in(self, call: Call, headers: Headers) -> Response:
        key = public_id(Prefix.API_KEY, call.known_caller.key_id)
        return json_response(
            200, {"object": "operator_session", "api_key": key}, (*headers, (b"cache-control", b"no-store"))
        )
