"""Whatever is raised becomes a problem; nothing of an exception reaches a client."""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.admission.admission import ClientGone
from serve_app.incident import describe
from serve_app.problems import problem_of, response_of

_logger = structlog.get_logger(__name__)


class AnswerBrokeOff(Exception):
    """An answer failed after it had begun. Tells the server to close the connection, and nothing of the cause."""

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"the answer to request {self.request_id} broke off"


class Faults:
    """Answers with the problem of the error that the app raised."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except ClientGone:
            return  # There is nobody to answer, and nothing was done.
        except Exception as error:
            request_id = scope.get("request_id", "")
            if started:
                _logger.error("an answer broke off", request_id=request_id, **describe(error))
                raise AnswerBrokeOff(request_id) from None
            answer = response_of(problem_of(error, request_id), request_id)
            await answer.send(send, head_only=scope["method"] == "HEAD")
