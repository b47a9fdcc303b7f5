"""Amounts are exact, by the rate of the day."""

import pytest

from bridge.mapping.money import Money

MONEY = Money("USD", {"EUR": (("", "1.08"),), "GBP": (("2026-01-01", "1.27"), ("2026-07-01", "1.31"))})


@pytest.mark.parametrize(
    ("amount", "currency", "at", "dollars"),
    [
        (100, "EUR", "2026-05-01", 108.0),
        (1054.5, "USD", "2026-05-01", 1054.5),  # the base currency needs no rate
        (100, "GBP", "2026-01-01T00:00:00Z", 127.0),  # the first day
        (100, "GBP", "2026-06-30T23:59:59Z", 127.0),  # the last before another rate
        (100, "GBP", "2026-07-01", 131.0),
        (100, "GBP", "2026-07-01T01:00:00+02:00", 127.0),  # days are those of UTC
        (100, " eur ", "2026-05-01", 108.0),
        ("1054.50", "EUR", "2026-05-01", 1138.86),  # many APIs give amounts as texts
        (0.1, "EUR", "2026-05-01", 0.108),  # 0.1 * 1.08 is 0.10800000000000001 in floats
        (-3, "EUR", "2026-05-01", -3.24),
        (None, "EUR", "2026-05-01", None),
        (100, None, "2026-05-01", None),
        (100, "GBP", None, None),
    ],
)
def test_an_amount_counts_by_the_rate_that_held(amount, currency, at, dollars):
    assert MONEY.convert(amount, currency, at) == dollars


@pytest.mark.parametrize(
    ("amount", "currency", "at", "reason"),
    [
        (1, "CHF", "2026-05-01", "there is no rate for CHF; add it to the `rates` of the document's `money`"),
        (1, "GBP", "2025-12-31", "there is no rate for GBP on 2025-12-31; the first one holds from 2026-01-01 on"),
        (1, "Euro", "2026-05-01", "'Euro' is no currency; three letters like EUR are expected"),
        (1, 978, "2026-05-01", "'978' is no currency; three letters like EUR are expected"),
        ("1,054.50", "EUR", "2026-05-01", "'1,054.50' is no amount; a number like 1054.50 is expected"),
        (float("inf"), "EUR", "2026-05-01", "'inf' is no amount; a number like 1054.50 is expected"),
        ("9" * 100_000, "EUR", "2026-05-01", f"'{'9' * 40}' is no amount; a number like 1054.50 is expected"),
        (1, "GBP", "soon", "'soon' is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z"),
    ],
)
def test_what_cannot_be_converted_says_why(amount, currency, at, reason):
    with pytest.raises(ValueError, match=r"is no|there is no") as caught:
        MONEY.convert(amount, currency, at)

    assert str(caught.value) == reason


def test_an_amount_of_another_type_is_refused():
    with pytest.raises(TypeError, match="true or false is no amount; a number is expected"):
        MONEY.convert(True, "EUR", "2026-05-01")
