"""Amounts of money: integers in minor units of an ISO 4217 currency, never a float.

Source: ISO 4217:2015, list one (active codes), for the number of decimal digits.
"""

from __future__ import annotations

from dataclasses import dataclass

AMOUNT_MINOR_MAX = 999_999_999_999
"""The largest amount of one payment, in minor units; sums of a million of them fit in 64 bits."""

_TWO_DIGITS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}
"""Decimal digits of the minor unit by currency code."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of one currency; amounts of two currencies never mix."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        assert self.currency in EXPONENTS, f"unknown currency {self.currency}"
        assert type(self.amount_minor) is int, "an amount is an integer in minor units"

    def __add__(self, other: Money) -> Money:
        return Money(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount_minor - self._same(other), self.currency)

    def _same(self, other: Money) -> int:
        assert self.currency == other.currency, f"{self.currency} and {other.currency} cannot be summed"
        return other.amount_minor

    def __str__(self) -> str:
        digits = EXPONENTS[self.currency]
        sign = "-" if self.amount_minor < 0 else ""
        text = str(abs(self.amount_minor)).rjust(digits + 1, "0")
        whole = text[: len(text) - digits]
        return f"{sign}{whole}.{text[-digits:]} {self.currency}" if digits else f"{sign}{whole} {self.currency}"
