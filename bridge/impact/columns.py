"""Columns as they come, into arrays; what cannot be read is told by column and row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.impact.errors import PanelError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Columns = Sequence[Any] | npt.NDArray[Any]

NEVER = np.inf
"""Period of training of who is never trained."""

_MOST_EXACT = 1e15
"""Magnitude above which doubles lose the fractions that effects are made of."""


def is_missing(value: object) -> bool:
    """Tell whether a value of a column stands for none: None, NaN, NaT or empty text."""
    return value is None or value == "" or value != value  # NaN and NaT alone differ from themselves


def as_codes(column: Columns, name: str, *, empty: bool = True) -> tuple[IntArray, tuple[str, ...]]:
    """Number the distinct values from 0 in their own order; an empty one is '' where it may be."""
    array = np.asarray(column)
    if array.dtype.kind in "OUSfM":
        missing = np.array([is_missing(value) for value in array.tolist()], bool)
        if missing.any():
            if not empty:
                raise PanelError("is empty", column=name, row=_first(missing))
            array = np.array(
                ["" if none else value for value, none in zip(array.tolist(), missing, strict=True)], object
            )
    if array.dtype == object:
        texts = [str(value) for value in array.tolist()]
        # numpy cuts these off, so that two names would be one.
        refuse_where(np.array([text.endswith("\0") for text in texts], bool), "ends with a NUL character", name)
        array = np.array(texts)
    distinct, codes = np.unique(array, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), tuple(str(value) for value in distinct.tolist())


def as_numbers(column: Columns, name: str, *, missing: bool = False) -> FloatArray:
    """Read a column of numbers; NaN where one is absent, if it may be."""
    array = np.asarray(column)
    if array.dtype == object:
        array = np.array([np.nan if is_missing(value) else value for value in array.tolist()], object)
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row, value = next((row, value) for row, value in enumerate(array.tolist(), 1) if not _is_number(value))
        raise PanelError(f"{value!r} is no number", column=name, row=row) from None
    refuse_where(np.isinf(numbers), "is infinite", name)
    refuse_where(np.abs(numbers) > _MOST_EXACT, f"is beyond {_MOST_EXACT:.0e}, where differences are lost", name)
    if not missing:
        refuse_where(np.isnan(numbers), "is empty", name)
    return numbers


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]  # the very question
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def as_periods(column: Columns, name: str) -> IntArray:
    numbers = as_numbers(column, name)
    refuse_where(numbers != np.floor(numbers), "is no whole number", name)
    return numbers.astype(np.int64)


def as_moments(column: Columns, name: str) -> FloatArray:
    """Read periods that may be never: empty, NaN and either infinity."""
    array = np.asarray(column)
    values = [NEVER if is_missing(value) else value for value in array.tolist()] if array.dtype == object else array
    try:
        numbers = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row, value = next((row, value) for row, value in enumerate(array.tolist(), 1) if not _is_number(value))
        raise PanelError(f"{value!r} is no period", column=name, row=row) from None
    never = ~np.isfinite(numbers)
    refuse_where(~never & (numbers != np.floor(np.where(never, 0, numbers))), "is no whole number", name)
    return np.where(never, NEVER, numbers)


def refuse_where(wrong: BoolArray, text: str, name: str) -> None:
    if wrong.any():
        raise PanelError(text, column=name, row=_first(wrong))


def _first(wrong: BoolArray) -> int:
    return int(np.argmax(wrong)) + 1
