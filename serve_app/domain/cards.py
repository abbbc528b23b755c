"""Finds card numbers in text, so that none is ever stored.

A card number is 13 to 19 digits, perhaps grouped by single spaces or dashes, that pass the Luhn check
(ISO/IEC 7812-1, annex B). UUIDs are passed over: their digits pass by chance about once in 250.
"""

from __future__ import annotations

import re

_UUID = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9-]*[a-fA-F])[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])"
)
_GROUPED_DIGITS = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_DIGITS_MIN, _DIGITS_MAX = 13, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def contains_card_number(text: str) -> bool:
    """Say whether a card number stands anywhere in `text`."""
    if len(text) < _DIGITS_MIN:
        return False
    return any(_holds_card(run.group().replace("-", " ")) for run in _GROUPED_DIGITS.finditer(_UUID.sub("|", text)))


def _holds_card(run: str) -> bool:
    """Try each sequence of whole groups that has the length of a card number."""
    groups = run.split(" ")
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > _DIGITS_MAX:
                break
            if len(digits) >= _DIGITS_MIN and _passes_luhn(digits):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    total = sum(int(digit) for digit in digits[-1::-2]) + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0
