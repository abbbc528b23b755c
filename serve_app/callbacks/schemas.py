"""Callbacks of processors on the wire. Members that are not named here are let be: a processor may tell more."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FINISHED = "operation.finished"


class FinishedOperation(BaseModel):
    """The operation that the processor has finished."""

    model_config = ConfigDict(frozen=True)

    attempt_id: str = Field(max_length=128, description="The id under which the gateway asked for it.")


class Callback(BaseModel):
    """What a processor tells."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(max_length=100, examples=[FINISHED], description="Of other types than this nothing is made.")
    timestamp: datetime = Field(description="When it happened.")
    data: FinishedOperation


class CallbackReceipt(BaseModel):
    """That the processor need not send it again, and what came of it."""

    outcome: Literal["concluded", "nothing_to_do", "repeated"]
