"""HAProxy's own answers as RFC 9457 problems, in the shape that the application gives its errors.

Standard library only: the launcher loads this file in a bare interpreter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

CONTENT_TYPE = "application/problem+json"

# A transaction that never reached the rules (a malformed request) has no id yet, so it gets one here.
_KNOWN_ID = "%[var(txn.request_id),json(ascii)]"
_FRESH_ID = "%[uuid]"


@dataclass(frozen=True, slots=True)
class Answer:
    """Describe one answer of HAProxy itself: `cause` is HAProxy's status, `status` what the client sees.

    `retry_after_s` is a number, or an HAProxy expression for one.
    """

    cause: int
    status: int
    code: str
    title: str
    detail: str
    retry_after_s: int | str | None = None
    early: bool = False

    def reply(self) -> str:
        """Give the words that follow `status N` in an `http-error` or `http-request return` directive."""
        # A marker that JSON leaves alone, because an HAProxy format must not be escaped as a JSON string.
        body = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": "@request-id@",
        }
        text = json.dumps(body).replace("%", "%%").replace("@request-id@", _FRESH_ID if self.early else _KNOWN_ID)
        assert "'" not in text, "the text stands between single quotes"
        reply = f"content-type {CONTENT_TYPE} lf-string '{text}' hdr Cache-Control no-store"
        if self.retry_after_s is not None:
            reply += f" hdr Retry-After {self.retry_after_s}"
        return reply


_UNKNOWN_OUTCOME = (
    "The gateway lost the server that was working on this request, so its outcome is unknown. "
    "Repeat the request with the same Idempotency-Key to learn it; "
    "without a key, look for the payment before sending it again."
)

BAD_REQUEST = Answer(400, 400, "invalid_request", "Bad Request", "The request is not valid HTTP.", early=True)
REQUEST_TIMEOUT = Answer(
    408, 408, "invalid_request", "Request Timeout", "The request did not arrive in time.", early=True
)
BODY_TOO_LARGE = Answer(
    413, 413, "payload_too_large", "The body is too large", "The body may have at most 65536 bytes."
)
HEAD_TOO_LONG = Answer(
    431,
    431,
    "invalid_request",
    "Request Header Fields Too Large",
    "The headers of the request are longer than 16 KiB.",
)
NOT_FOUND = Answer(404, 404, "not_found", "Not Found", "There is nothing at this path.")
INTERNAL_ERROR = Answer(500, 500, "internal_error", "Internal Server Error", "The gateway failed.")
REPLICA_LOST = Answer(502, 500, "internal_error", "Internal Server Error", _UNKNOWN_OUTCOME)
REPLICA_SILENT = Answer(504, 500, "internal_error", "Internal Server Error", _UNKNOWN_OUTCOME)
# HAProxy says 503 only where nothing was sent: no server is up, or none took the connection.
NO_REPLICA = Answer(
    503,
    503,
    "overloaded",
    "Service Unavailable",
    "No server can take the request at the moment. Nothing was done; try again.",
    retry_after_s=1,
)

# Stands where a replica would have refused (shedding.py), with what it said last of when to come again.
TOO_MUCH = Answer(
    503,
    503,
    "overloaded",
    "The gateway cannot take this request now",
    "The gateway is at its limit; nothing was stored.",
    retry_after_s="%[sc0_get_gpt0]",
)

ERRORS = (BAD_REQUEST, REQUEST_TIMEOUT, INTERNAL_ERROR, REPLICA_LOST, NO_REPLICA, REPLICA_SILENT)


def error_directives() -> list[str]:
    """List the `http-error` lines of the defaults section."""
    return [f"http-error status {answer.cause} {answer.reply()}" for answer in ERRORS]
