"""Callbacks of processors over HTTP: signed with the secret that each shares with the gateway, instead of a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from serve_app.callbacks.schemas import FINISHED, Callback, CallbackReceipt
from serve_app.callbacks.service import ProcessorCallbacks, Receipt
from serve_app.callbacks.signatures import PROCESSOR, CallbackSignatures
from serve_app.domain.ids import Prefix, parse_id
from serve_app.http.operation import Call, Headers, Operation
from serve_app.http.response import Response, json_response
from serve_app.problems import Code, Problem

_EXAMPLE = {
    "type": FINISHED,
    "timestamp": "2026-01-31T09:30:00Z",
    "data": {"attempt_id": "att_019a3c5e7d4f7a1b8c2d3e4f5a6b7c8d"},
}


class CallbackEndpoints:
    """Takes callbacks."""

    def __init__(self, signatures: CallbackSignatures, callbacks: ProcessorCallbacks) -> None:
        self._signatures = signatures
        self._callbacks = callbacks

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        return (
            Operation(
                "POST", f"/v1/processors/{{{PROCESSOR}}}/callbacks", self.receive,
                "Tell that an operation is finished", "Processors", verify=self.verify,
                request=Callback, answers={200: CallbackReceipt}, problems=("overloaded", "processor_unavailable"),
                example=_EXAMPLE,
            ),
        )  # fmt: skip

    def verify(self, parameters: Mapping[str, str], headers: Headers, body: bytes) -> str:
        """Return the id of the message, if its processor has signed it."""
        return self._signatures.verify(parameters, headers, body)

    async def receive(self, call: Call) -> Response:
        """Settle the attempt that the callback names, before it is answered."""
        callback = call.body_as(Callback)
        processor = call.path_parameters[PROCESSOR]
        assert call.message_id is not None, "a verified message has an id"
        attempt_id = parse_id(Prefix.ATTEMPT, callback.data.attempt_id) if callback.type == FINISHED else None
        receipt = await self._callbacks.receive(processor, call.message_id, attempt_id)
        if receipt is Receipt.NOT_YET:
            detail = "The processor does not tell the outcome when it is asked; send the callback again."
            raise Problem(Code.PROCESSOR_UNAVAILABLE, detail, retry_after_s=1)
        return json_response(200, {"outcome": receipt.value})
