"""A panel: who was how good in which period, and when trained.

Rows are person x period. What is wrong with them is told by column and row; what is merely absent (a period without a
value, a person without a team) is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Panel:
    """Rows with a value, ordered by person and period; people are numbered from 0.

    Arrays of rows: `person`, `period`, `outcome`, `weight`, `role`, `exposure`, `covariates` (rows x columns) and
    `source`, the number of the row that it was made of, from 1.
    Arrays of people: `first_treated` and `assigned` (period, or infinity), `team` (the one at assignment time),
    `listed` (periods from their first to their last row), `observed` (of those, with a value) and `last` (last period
    with a value).
    """

    person: IntArray
    period: IntArray
    outcome: FloatArray
    weight: FloatArray
    role: IntArray
    covariates: FloatArray
    source: IntArray
    first_treated: FloatArray
    team: IntArray
    listed: IntArray
    observed: IntArray
    last: IntArray
    assigned: FloatArray | None = None
    exposure: FloatArray | None = None
    covariate_names: tuple[str, ...] = ()
    role_names: tuple[str, ...] = ("",)
    has_teams: bool = False
    movers: int = 0
    """People who were in more than one team."""
    teamless: int = 0
    """People without a team, where others have one: each counts as a team of one."""

    @property
    def people(self) -> int:
        return len(self.first_treated)

    @property
    def teams(self) -> int:
        return int(self.team.max()) + 1 if len(self.team) else 0

    @property
    def event_time(self) -> FloatArray:
        """Periods since training of each row; minus infinity for who is never trained."""
        return self.period - self.first_treated[self.person]

    def with_first_treated(self, first_treated: FloatArray) -> "Panel":
        return Panel(**{**self.__dict__, "first_treated": first_treated})

    def with_outcome(self, outcome: FloatArray) -> "Panel":
        return Panel(**{**self.__dict__, "outcome": outcome})

    def rows(self, kept: BoolArray) -> "Panel":
        """Give the panel with these rows only; people keep their numbers, even without rows."""
        by_row = ("person", "period", "outcome", "weight", "role", "covariates", "exposure", "source")
        cut = {name: value[kept] for name in by_row if (value := getattr(self, name)) is not None}
        return Panel(**{**self.__dict__, **cut})


def panel(
    *,
    person: Columns,
    period: Columns,
    outcome: Columns,
    first_treated: Columns,
    assigned: Columns | None = None,
    team: Columns | None = None,
    role: Columns | None = None,
    weight: Columns | None = None,
    exposure: Columns | None = None,
    covariates: Mapping[str, Columns] | None = None,
    names: Mapping[str, str] | None = None,
) -> Panel:
    """Make a panel of columns of equal length, in any order of rows.

    `period` holds whole numbers. `first_treated` and `assigned` hold such too, or infinity, NaN or None for never, and
    are the same in all rows of a person. An `outcome` of NaN or None is a period without a value. `names` says what the
    columns are called where they come from, for errors. Raises PanelError.
    """
    called = {name: name for name in _COLUMNS} | dict(names or {})
    size = len(person)
    given = {"period": period, "outcome": outcome, "first_treated": first_treated, "assigned": assigned, "team": team}
    given |= {"role": role, "weight": weight, "exposure": exposure}
    for name, column in given.items():
        if column is not None and len(column) != size:
            raise PanelError(f"{len(column):,} rows, where {called['person']!r} has {size:,}", column=called[name])
    for name, column in (covariates or {}).items():
        if len(column) != size:
            raise PanelError(f"{len(column):,} rows, where {called['person']!r} has {size:,}", column=name)
    if not size:
        raise PanelError("there are no rows", column=called["person"])

    people, _ = _codes(person, called["person"], empty=False)
    periods = _periods(period, called["period"])
    _refuse_twice(people, periods, called)
    trained = _per_person(_moments(first_treated, called["first_treated"]), people, called["first_treated"])
    sent = None
    if assigned is not None:
        sent = _per_person(_moments(assigned, called["assigned"]), people, called["assigned"])
    values = _numbers(outcome, called["outcome"], missing=True)
    weights = np.ones(size) if weight is None else _numbers(weight, called["weight"])
    _refuse_where(weights < 0, "a weight below 0", called["weight"])
    exposures = None if exposure is None else _numbers(exposure, called["exposure"], missing=True)
    roles, role_names = _codes(role, called["role"]) if role is not None else (np.zeros(size, np.int64), ("",))
    columns = [_numbers(column, name) for name, column in (covariates or {}).items()]
    home, movers, teamless = _teams(team, people, periods, trained if sent is None else sent, called["team"])

    has = np.isfinite(values) & (weights > 0)
    if exposures is not None:
        _refuse_where(exposures < 0, "an exposure below 0", called["exposure"])
        has &= np.isfinite(exposures) & (exposures > 0)
    order = np.lexsort((periods, people))
    kept = order[has[order]]
    listed, observed, last = _spans(people, periods, has, len(trained))
    return Panel(
        person=people[kept],
        period=periods[kept],
        outcome=values[kept],
        weight=weights[kept],
        role=roles[kept],
        covariates=np.column_stack([column[kept] for column in columns]) if columns else np.empty((len(kept), 0)),
        source=kept + 1,
        first_treated=trained,
        team=home,
        listed=listed,
        observed=observed,
        last=last,
        assigned=sent,
        exposure=None if exposures is None else exposures[kept],
        covariate_names=tuple(covariates or ()),
        role_names=role_names,
        has_teams=team is not None,
        movers=movers,
        teamless=teamless,
    )


_COLUMNS = ("person", "period", "outcome", "first_treated", "assigned", "team", "role", "weight", "exposure")


def is_missing(value: object) -> bool:
    """Tell whether a value of a column stands for none: None, NaN, NaT or empty text."""
    return value is None or value == "" or value != value  # NaN and NaT alone differ from themselves


def _codes(column: Columns, name: str, *, empty: bool = True) -> tuple[IntArray, tuple[str, ...]]:
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
        array = np.array([str(value) for value in array.tolist()])
    distinct, codes = np.unique(array, return_inverse=True)
    return codes.reshape(-1).astype(np.int64), tuple(str(value) for value in distinct.tolist())


def _numbers(column: Columns, name: str, *, missing: bool = False) -> FloatArray:
    """Read a column of numbers; NaN where one is absent, if it may be."""
    array = np.asarray(column)
    if array.dtype == object:
        array = np.array([np.nan if is_missing(value) else value for value in array.tolist()], object)
    try:
        numbers = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row, value = next((row, value) for row, value in enumerate(array.tolist(), 1) if not _is_number(value))
        raise PanelError(f"{value!r} is no number", column=name, row=row) from None
    _refuse_where(np.isinf(numbers), "is infinite", name)
    _refuse_where(np.abs(numbers) > _MOST_EXACT, f"is beyond {_MOST_EXACT:.0e}, where differences are lost", name)
    if not missing:
        _refuse_where(np.isnan(numbers), "is empty", name)
    return numbers


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]  # the very question
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _periods(column: Columns, name: str) -> IntArray:
    numbers = _numbers(column, name)
    _refuse_where(numbers != np.floor(numbers), "is no whole number", name)
    return numbers.astype(np.int64)


def _moments(column: Columns, name: str) -> FloatArray:
    """Read periods that may be never: empty, NaN and either infinity."""
    array = np.asarray(column)
    values = [NEVER if is_missing(value) else value for value in array.tolist()] if array.dtype == object else array
    try:
        numbers = np.asarray(values).astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        row, value = next((row, value) for row, value in enumerate(array.tolist(), 1) if not _is_number(value))
        raise PanelError(f"{value!r} is no period", column=name, row=row) from None
    never = ~np.isfinite(numbers)
    _refuse_where(~never & (numbers != np.floor(np.where(never, 0, numbers))), "is no whole number", name)
    return np.where(never, NEVER, numbers)


def _per_person(moments: FloatArray, people: IntArray, name: str) -> FloatArray:
    """Give each person's moment, which is the same in all of their rows."""
    _, first = np.unique(people, return_index=True)
    each = moments[first]
    differs = moments != each[people]
    if differs.any():
        row = int(np.argmax(differs))
        text = f"differs from row {int(first[people[row]]) + 1:,} of the same person"
        raise PanelError(text, column=name, row=row + 1)
    return each


def _teams(
    column: Columns | None, people: IntArray, periods: IntArray, since: FloatArray, name: str
) -> tuple[IntArray, int, int]:
    """Give each person's team at assignment time, how many were in several, and how many in none.

    That is the team of the last row up to that time, else of the first row; of who is never sent, the one they were
    in longest. Without a column each person is a team.
    """
    count = len(since)
    if column is None:
        return np.arange(count), 0, 0
    codes, names = _codes(column, name)
    nameless = names.index("") if "" in names else -1
    home = np.full(count, -1, np.int64)
    several = 0
    order = np.lexsort((periods, people))
    bounds = np.searchsorted(people[order], np.arange(count + 1))
    for one in range(count):
        rows = order[bounds[one] : bounds[one + 1]]
        rows = rows[codes[rows] != nameless]
        if not len(rows):
            continue
        own = codes[rows]
        if (own == own[0]).all():
            home[one] = own[0]
            continue
        several += 1
        if np.isfinite(since[one]):
            before = rows[periods[rows] <= since[one]]
            home[one] = codes[before[-1]] if len(before) else own[0]
        else:
            home[one] = np.bincount(own).argmax()
    alone = home < 0
    home[alone] = len(names) + np.arange(int(alone.sum()))
    _, numbered = np.unique(home, return_inverse=True)
    return numbered.reshape(-1).astype(np.int64), several, int(alone.sum())


def _spans(people: IntArray, periods: IntArray, has: BoolArray, count: int) -> tuple[IntArray, IntArray, IntArray]:
    """Give of each person how many of the panel's periods their rows span, how many have a value, and the last such."""
    distinct, place = np.unique(periods, return_inverse=True)
    place = place.reshape(-1)
    first, final = np.full(count, len(distinct)), np.full(count, -1)
    np.minimum.at(first, people, place)
    np.maximum.at(final, people, place)
    last = np.full(count, distinct[0] - 1)
    np.maximum.at(last, people[has], periods[has])
    return final - first + 1, np.bincount(people[has], minlength=count), last


def _refuse_twice(people: IntArray, periods: IntArray, called: Mapping[str, str]) -> None:
    order = np.lexsort((periods, people))
    same = (np.diff(people[order]) == 0) & (np.diff(periods[order]) == 0)
    if same.any():
        place = int(np.argmax(same))
        one, other = sorted((int(order[place]) + 1, int(order[place + 1]) + 1))
        raise PanelError(f"same person and period as row {one:,}", column=called["period"], row=other)


def _refuse_where(wrong: BoolArray, text: str, name: str) -> None:
    if wrong.any():
        raise PanelError(text, column=name, row=_first(wrong))


def _first(wrong: BoolArray) -> int:
    return int(np.argmax(wrong)) + 1
