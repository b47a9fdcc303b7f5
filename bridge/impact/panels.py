"""A panel: who was how good in which period, and when trained.

Rows are person x period. What is wrong with them is told by column and row; what is merely absent (a period without a
value, a person without a team) is counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bridge.impact.columns import (
    BoolArray,
    Columns,
    FloatArray,
    IntArray,
    as_codes,
    as_moments,
    as_numbers,
    as_periods,
    refuse_where,
)
from bridge.impact.errors import PanelError

_MOST_UNEVEN = 1e9
_UNEVEN = f"a weight that is less than 1/{_MOST_UNEVEN:.0e} of another one: leave such rows out"


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
    outcome_name: str = "outcome"
    """What the outcome is called where it comes from, for errors."""
    covariate_names: tuple[str, ...] = ()
    role_names: tuple[str, ...] = ("",)
    has_teams: bool = False
    movers: int = 0
    """People who were in more than one team."""
    teamless: int = 0
    """People without a team, where others have one: each counts as a team of one."""
    unseen: int = 0
    """People without any value, who are not among the others."""

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

    people, _ = as_codes(person, called["person"], empty=False)
    periods = as_periods(period, called["period"])
    _refuse_twice(people, periods, called)
    trained = _per_person(as_moments(first_treated, called["first_treated"]), people, called["first_treated"])
    sent = None
    if assigned is not None:
        sent = _per_person(as_moments(assigned, called["assigned"]), people, called["assigned"])
    values = as_numbers(outcome, called["outcome"], missing=True)
    weights = np.ones(size) if weight is None else as_numbers(weight, called["weight"])
    refuse_where(weights < 0, "a weight below 0", called["weight"])
    refuse_where((weights > 0) & (weights < weights.max() / _MOST_UNEVEN), _UNEVEN, called["weight"])
    exposures = None if exposure is None else as_numbers(exposure, called["exposure"], missing=True)
    roles, role_names = as_codes(role, called["role"]) if role is not None else (np.zeros(size, np.int64), ("",))
    columns = {name: as_numbers(column, name, missing=True) for name, column in (covariates or {}).items()}
    home, movers, teamless = _teams(team, people, periods, trained if sent is None else sent, called["team"])

    has = np.isfinite(values) & (weights > 0)
    if exposures is not None:
        refuse_where(exposures < 0, "an exposure below 0", called["exposure"])
        has &= np.isfinite(exposures) & (exposures > 0)
    for name, column in columns.items():
        refuse_where(has & np.isnan(column), "is empty, where there is an outcome", name)
    order = np.lexsort((periods, people))
    kept = order[has[order]]
    listed, observed, last = _spans(people, periods, has, len(trained))
    # Who never has a value is nobody of this metric's: they would be teams without rows, and losses that are none.
    seen = observed > 0
    number = np.cumsum(seen) - 1
    _, home = np.unique(home[seen], return_inverse=True)
    return Panel(
        person=number[people[kept]],
        period=periods[kept],
        outcome=values[kept],
        weight=weights[kept],
        role=roles[kept],
        covariates=np.column_stack([column[kept] for column in columns.values()])
        if columns
        else np.empty((len(kept), 0)),
        source=kept + 1,
        first_treated=trained[seen],
        team=home.reshape(-1).astype(np.int64),
        listed=listed[seen],
        observed=observed[seen],
        last=last[seen],
        assigned=None if sent is None else sent[seen],
        exposure=None if exposures is None else exposures[kept],
        outcome_name=called["outcome"],
        covariate_names=tuple(covariates or ()),
        role_names=role_names,
        has_teams=team is not None,
        movers=movers,
        teamless=teamless,
        unseen=int((~seen).sum()),
    )


_COLUMNS = ("person", "period", "outcome", "first_treated", "assigned", "team", "role", "weight", "exposure")


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
    codes, names = as_codes(column, name)
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
