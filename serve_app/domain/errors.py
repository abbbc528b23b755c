"""What the rules of payments refuse, one class for each thing that a merchant can do about it."""

from __future__ import annotations


class DomainError(Exception):
    """A request that the rules of payments refuse; nothing was changed."""


class InvalidAmount(DomainError):
    """The amount is not one that this request may carry: send another."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class TransitionForbidden(DomainError):
    """The payment is in a state from which this operation is not allowed: read it again."""

    def __init__(self, operation: str, status: str, reason: str) -> None:
        super().__init__(operation, status, reason)
        self.operation = operation
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot {self.operation} a payment that is {self.status}: {self.reason}"


class NotFound(DomainError):
    """The merchant has no such object; another merchant's object looks the same."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(kind, object_id)
        self.kind = kind
        self.object_id = object_id

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.object_id}"


class IdempotencyMismatch(DomainError):
    """The idempotency key was used before for another request: use a new key."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return "this Idempotency-Key was used for a request with other contents"


class IdempotencyInProgress(DomainError):
    """The first request with this key has no answer yet: repeat later with the same key."""

    def __init__(self, key: str, retry_after_s: float) -> None:
        super().__init__(key, retry_after_s)
        self.key = key
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return "the first request with this Idempotency-Key is still running"


class ProcessorUnavailable(DomainError):
    """The processor takes no requests now; nothing was stored: repeat later."""

    def __init__(self, processor: str, retry_after_s: float) -> None:
        super().__init__(processor, retry_after_s)
        self.processor = processor
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"the processor {self.processor} is unavailable"


class LiveKeyRefused(DomainError):
    """Live keys are not taken where they could be read on the wire: serve over TLS, or on loopback behind it."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "live keys are not taken on a public address without TLS"


class ConcurrentChange(DomainError):
    """The object kept changing under the request: repeat it."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(kind, object_id)
        self.kind = kind
        self.object_id = object_id

    def __str__(self) -> str:
        return f"the {self.kind} {self.object_id} was being changed by other requests"


class EndpointDisabled(DomainError):
    """The webhook endpoint is not sent anything: enable it first."""

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(endpoint_id)
        self.endpoint_id = endpoint_id

    def __str__(self) -> str:
        return f"the webhook endpoint {self.endpoint_id} is disabled or deleted"


class TooManyEndpoints(DomainError):
    """The merchant has as many webhook endpoints as it may have: delete one first."""

    def __init__(self, endpoints_max: int) -> None:
        super().__init__(endpoints_max)
        self.endpoints_max = endpoints_max

    def __str__(self) -> str:
        return f"there are {self.endpoints_max} webhook endpoints already, which is the most"


class WebhooksNotConfigured(DomainError):
    """The gateway has no key to keep secrets with, so it takes no endpoints: its operator sets SEALING_KEY."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "webhooks are not configured on this gateway"
