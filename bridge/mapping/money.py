"""Amounts of money in one currency, by rates that an admin writes down."""

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from bridge.mapping.functions import moment, type_of

CODE = re.compile(r"[A-Z]{3}")
"""A currency, as ISO 4217 has them."""

_AMOUNT = re.compile(r"[-+]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class Money:
    """A base currency and what one unit of each other is worth in it."""

    base: str
    rates: Mapping[str, tuple[tuple[str, str], ...]]
    """By currency: since which date (ISO 8601, "" for always) which rate held, in order."""

    def convert(self, amount: object, currency: object, at: object) -> float | None:
        """Give an amount in the base currency, by the rate of the day (UTC); None if anything is None.

        Exact but for the last step, into a float. Raises ValueError or TypeError with words for the admin.
        """
        if amount is None or currency is None or at is None:
            return None
        value, code = _amount(amount), _code(currency)
        if code == self.base:
            return float(value)
        return float(value * self._rate(code, moment(at).date().isoformat()))

    def _rate(self, code: str, day: str) -> Decimal:
        rates = self.rates.get(code)
        if rates is None:
            raise ValueError(f"there is no rate for {code}; add it to the `rates` of the document's `money`")
        place = bisect_right(rates, day, key=lambda rate: rate[0])
        if place == 0:
            raise ValueError(f"there is no rate for {code} on {day}; the first one holds from {rates[0][0]} on")
        return Decimal(rates[place - 1][1])


def _amount(amount: object) -> Decimal:
    if isinstance(amount, int | float) and not isinstance(amount, bool):
        value = Decimal(str(amount))
        if value.is_finite():
            return value
    elif isinstance(amount, str) and _AMOUNT.fullmatch(amount.strip()):
        return Decimal(amount.strip())
    elif not isinstance(amount, str):
        raise TypeError(f"{type_of(amount)} is no amount; a number is expected")
    raise ValueError(f"{str(amount)[:40]!r} is no amount; a number like 1054.50 is expected")


def _code(currency: object) -> str:
    code = currency.strip().upper() if isinstance(currency, str) else ""
    if not CODE.fullmatch(code):
        raise ValueError(f"{str(currency)[:40]!r} is no currency; three letters like EUR are expected")
    return code
