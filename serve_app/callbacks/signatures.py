"""Who signed a callback: the processor whose secret this gateway shares.

Source: Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.
"""

from __future__ import annotations

from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError

from serve_app.http.operation import Headers
from serve_app.problems import Code, Problem

PROCESSOR = "name"
"""The parameter of the path that names the processor."""
TOLERANCE_S = 300.0
"""How far the library lets a message's time be from now."""

_ID = "webhook-id"
_SIGNED_BY = (_ID, "webhook-timestamp", "webhook-signature")
_ID_LENGTH_MAX = 255
_CHALLENGE = ((b"www-authenticate", b"Webhook-Signature"),)


class CallbackSignatures:
    """The secrets of processors by their names."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._webhooks = {processor: Webhook(secret) for processor, secret in secrets.items()}

    def verify(self, parameters: Mapping[str, str], headers: Headers, body: bytes) -> str:
        """Return the id of a message that its processor has signed within the last five minutes.

        Raises:
            Problem: the processor has no secret here (404), or has not signed this (401).
        """
        webhook = self._webhooks.get(parameters[PROCESSOR])
        if webhook is None:
            raise Problem(Code.NOT_FOUND, "There is nothing at this path.")
        given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        signed_by = {name: value for name, value in given if name in _SIGNED_BY}
        # Of two headers nobody can say which one was signed.
        if sum(name in _SIGNED_BY for name, _ in given) != len(_SIGNED_BY) or len(signed_by) != len(_SIGNED_BY):
            raise _refused(f"Send {', '.join(_SIGNED_BY)}, each once.")
        if len(signed_by[_ID]) > _ID_LENGTH_MAX:
            raise _refused(f"{_ID} may have at most {_ID_LENGTH_MAX} characters.")
        try:
            webhook.verify(body, signed_by, json_parse=False)
        except (WebhookVerificationError, ValueError):
            # The library lets through what splitting, base64 and UTF-8 raise about a malformed signature.
            raise _refused("The message is not signed with this processor's secret, or not now.") from None
        return signed_by[_ID]


def _refused(detail: str) -> Problem:
    return Problem(Code.SIGNATURE_INVALID, detail, headers=_CHALLENGE)
