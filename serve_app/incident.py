"""What is logged of an error that nobody foresaw: enough to find the fault, nothing that a client sent.

The text of an exception can hold what it was raised about: a card number in a validation error, a customer's name in
the detail of a database error. So the text is cut and masked, and the stack is told by places alone.
"""

from __future__ import annotations

import re
import traceback
from pathlib import PurePath
from typing import Any

from pydantic import ValidationError

CAUSES_MAX = 4
FRAMES_MAX = 20
TEXT_LENGTH_MAX = 300

_SECRETS = re.compile(
    r"(?:[0-9][ -]?){11,}[0-9]"  # as many digits as a card number, or nearly
    r"|sk_(?:test|live)_\w+"
    r"|(?i:bearer)\s+\S+"
    r"|(?<=://)[^/@\s]+(?=@)"  # the user and password of a URL
)


def describe(error: BaseException) -> dict[str, Any]:
    """Return the error, where it was raised and what caused it, the latest first."""
    chain: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < CAUSES_MAX:
        chain.append({"error": type(current).__qualname__, "text": _text(current), "places": _places(current)})
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return {**chain[0], **({"causes": chain[1:]} if chain[1:] else {})}


def describe_briefly(error: BaseException) -> str:
    """Return the kind of the error and its text, cut and masked: what may be stored beside what failed."""
    return f"{type(error).__qualname__}: {_text(error)}"


def _text(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        kinds = [details["type"] for details in error.errors(include_url=False, include_input=False)]
        return f"{error.title}: {', '.join(kinds)}"[:TEXT_LENGTH_MAX]
    # A database error tells the values of the row in its further lines.
    first_line = str(error).partition("\n")[0][: TEXT_LENGTH_MAX * 4]
    return _SECRETS.sub("(hidden)", first_line)[:TEXT_LENGTH_MAX]


def _places(error: BaseException) -> list[str]:
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES_MAX:]
    return [_place(frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in frames]


def _place(filename: str, line: int, function: str) -> str:
    return f"{'/'.join(PurePath(filename).parts[-3:])}:{line} {function}"
