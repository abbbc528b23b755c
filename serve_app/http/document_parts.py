"""The parts of the OpenAPI document that are the same for every set of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serve_app.problems import Code

ANSWERS: Mapping[int, str] = {
    200: "Done.",
    201: "Made.",
    202: "The outcome is not known yet: repeat the request with the same Idempotency-Key, or read the object.",
    204: "Done; there is nothing to say.",
    503: "Not ready.",
}
"""What a status means that is no problem."""

HEADERS: Mapping[str, Any] = {
    "X-Request-Id": {"description": "The id of the request.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {
        "description": "How many requests are left of each limit, and within how many seconds it is whole again.",
        "schema": {"type": "string"},
        "example": '"merchant";r=5987;t=60',
    },
    "RateLimit-Policy": {
        "description": "The limits that the request was counted by: requests in each window of so many seconds.",
        "schema": {"type": "string"},
        "example": '"merchant";q=6000;w=60',
    },
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "Present where an earlier request with the same key had this outcome.",
        "schema": {"type": "string", "const": "true"},
    },
}

SECURITY: Mapping[str, Any] = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, `sk_test_...` or `sk_live_...`, in the Authorization header and never in a URL.",
}

IDEMPOTENCY_KEY: Mapping[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: one key, one operation, one answer. Visible ASCII characters.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "order-1001",
}

REQUEST_ID: Mapping[str, Any] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "Your own id for the request, which comes back. Without one the gateway makes one.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
}

TIMEOUT: Mapping[str, Any] = {
    "name": "X-Request-Timeout-Ms",
    "in": "header",
    "required": False,
    "description": "How long you wait, at most and by default 30,000. What has not begun by then is not begun (504); a "
    "payment that has is answered with 202 where its outcome is not known by then.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999999999},
}

SIGNATURE: Mapping[str, Any] = {
    "WebhookId": {
        "name": "Webhook-Id",
        "in": "header",
        "required": True,
        "description": "The id of the message, the same each time that it is sent.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "example": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W",
    },
    "WebhookTimestamp": {
        "name": "Webhook-Timestamp",
        "in": "header",
        "required": True,
        "description": "When it is sent, in seconds since 1970: not more than five minutes from now.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1769851800",
    },
    "WebhookSignature": {
        "name": "Webhook-Signature",
        "in": "header",
        "required": True,
        "description": "`v1,` and the HMAC-SHA-256 in base64 of id, timestamp and body, joined by dots. There may be "
        "several, with spaces between them.",
        "schema": {"type": "string"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}
"""The headers of a signed message.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.
"""

PROBLEM: Mapping[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "An error, after RFC 9457. `code` is what to program against.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Where the code is explained."},
        "title": {"type": "string", "description": "What the code means."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened this time, for people."},
        "code": {"type": "string", "enum": [code.code for code in Code]},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "description": "The path of the field, with dots."},
                    "message": {"type": "string"},
                },
            },
        },
        "payment": {"type": "object", "description": "The payment that was declined or failed."},
        "decline_code": {"type": ["string", "null"], "description": "Why the issuer declined."},
    },
}


def problem_example(code: Code) -> dict[str, Any]:
    """Return what a problem with this code looks like."""
    example: dict[str, Any] = {
        "type": code.uri,
        "title": code.title,
        "status": code.status,
        "detail": f"{code.title}.",
        "code": code.code,
        "request_id": "req_019a3c5e7d4f7a1b8c2d3e4f5a6b7c8d",
    }
    if code is Code.VALIDATION_FAILED:
        example["errors"] = [{"field": "amount", "message": "Input should be greater than 0"}]
    return example
