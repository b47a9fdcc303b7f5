"""Designs without a panel: an experiment with one outcome for each person, and two groups in two periods.

Whether chance decided who was trained is the caller's to say; covariates are held against it. Without chance there is
no verdict, only the figures: one outcome cannot show that the groups were alike, nor two periods that they moved alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bridge.impact import jackknife
from bridge.impact.columns import BoolArray, Columns, FloatArray, IntArray, as_codes, as_numbers, is_missing
from bridge.impact.contract import Family
from bridge.impact.errors import PanelError
from bridge.impact.families import on_scale
from bridge.impact.jackknife import UNKNOWN, Interval
from bridge.impact.least_squares import Regression, regress

ERRORS = ("pooled", "hc1", "hc2", "cluster")


@dataclass(frozen=True, eq=False)
class Groups:
    """One row for each person: the outcome (or its change), and NaN where there is none."""

    outcome: FloatArray
    treated: BoolArray
    weight: FloatArray
    team: IntArray
    has_teams: bool
    covariates: FloatArray
    covariate_names: tuple[str, ...]

    @property
    def seen(self) -> BoolArray:
        return np.isfinite(self.outcome)


@dataclass(frozen=True)
class Estimate:
    """A difference with its standard errors as the literature prints them; names in `README.md`."""

    estimate: float | None
    se_pooled: float | None
    se_hc1: float | None
    se_hc2: float | None
    se_cluster: float | None
    treated: int
    comparison: int
    df: int


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """What both designs give: the effect that the verdict takes, and all figures by name."""

    groups: Groups
    effect: Interval
    adjusted: Interval
    figures: Mapping[str, Estimate]
    means: Mapping[str, float | None]
    apart: int | None = None
    """Where nobody has a value in both periods: trained rows in the period that has fewer; else None."""


def experiment(
    *,
    outcome: Columns,
    treated: Columns,
    team: Columns | None = None,
    weight: Columns | None = None,
    person: Columns | None = None,
    covariates: Mapping[str, Columns] | None = None,
    names: Mapping[str, str] | None = None,
    family: Family = Family.LINEAR,
) -> Groups:
    """Make the groups of an experiment, one row for each person. Raises PanelError.

    `person` is only held against that: who stood in two rows would count twice.
    """
    called = {name: name for name in ("outcome", "treated", "team", "weight", "person")} | dict(names or {})
    size = len(outcome)
    if not size:
        raise PanelError("there are no rows", column=called["outcome"])
    values = as_numbers(outcome, called["outcome"], missing=True)
    values = on_scale(values, family, called["outcome"], np.arange(size) + 1)
    if person is not None:
        _refuse_again(as_codes(person, called["person"], empty=False)[0], called["person"])
    weights = np.ones(size) if weight is None else _weights(weight, called["weight"])
    teams = np.arange(size) if team is None else as_codes(team, called["team"], empty=False)[0]
    columns = [as_numbers(column, name) for name, column in (covariates or {}).items()]
    return Groups(
        outcome=np.where(weights > 0, values, np.nan),
        treated=_flags(treated, called["treated"]),
        weight=weights,
        team=teams,
        has_teams=team is not None,
        covariates=np.column_stack(columns) if columns else np.empty((size, 0)),
        covariate_names=tuple(covariates or ()),
    )


def difference_in_means(groups: Groups, level: float = 0.95) -> TwoGroups:
    """Compare the groups; with covariates also by regression, and by one for each group (Lin 2013)."""
    seen = groups.seen
    outcome, treated = groups.outcome[seen], groups.treated[seen]
    weight, team = groups.weight[seen], groups.team[seen]
    ones, given = np.ones(len(outcome)), groups.covariates[seen]
    figures = {"difference": _regress(outcome, np.column_stack([ones, treated]), weight, team, treated)}
    effect = _effect(outcome, np.column_stack([ones, treated]), weight, groups.has_teams, team, treated, level)
    adjusted = UNKNOWN
    if given.shape[1]:
        columns = np.column_stack([ones, treated, given])
        figures["adjusted"] = _regress(outcome, columns, weight, team, treated)
        adjusted = _effect(outcome, columns, weight, groups.has_teams, team, treated, level)
        if len(given):
            centred = given - np.average(given, axis=0, weights=weight)
            crossed = np.column_stack([ones, treated, centred, centred * treated[:, None]])
            figures["interacted"] = _regress(outcome, crossed, weight, team, treated)
    means = {
        "treated": _mean(outcome[treated], weight[treated]),
        "comparison": _mean(outcome[~treated], weight[~treated]),
    }
    return TwoGroups(groups, effect, adjusted, figures, means)


def two_periods(
    *,
    person: Columns,
    period: Columns,
    outcome: Columns,
    treated: Columns,
    team: Columns | None = None,
    weight: Columns | None = None,
    covariates: Mapping[str, Columns] | None = None,
    names: Mapping[str, str] | None = None,
    family: Family = Family.LINEAR,
    level: float = 0.95,
) -> TwoGroups:
    """Compare how two groups moved from the earlier of two periods to the later.

    The verdict's effect is of the people who were there in both (`changes`); `all_rows` is of everybody. Covariates and
    weights are those of the earlier period. Raises PanelError.
    """
    called = {"person": "person", "period": "period"} | dict(names or {})
    base = experiment(
        outcome=outcome, treated=treated, team=team, weight=weight, covariates=covariates, names=names, family=family
    )
    people, _ = as_codes(person, called["person"], empty=False)
    periods, moments = as_codes(period, called["period"], empty=False)
    if len(moments) != 2:
        raise PanelError(f"{len(moments)} different periods; this design has two", column=called["period"])
    later = periods == 1
    _refuse_uneven(people, later, base.treated, called)
    seen = base.seen
    flags = base.treated.astype(float)
    columns = np.column_stack([np.ones(len(flags)), flags, later, flags * later])
    whole = regress(base.outcome[seen], columns[seen], weight=base.weight[seen], cluster=people[seen])
    every = _estimate(whole, 3, base.treated[seen])
    count = int(people.max()) + 1
    before, after = np.full(count, -1), np.full(count, -1)
    before[people[seen & ~later]] = np.flatnonzero(seen & ~later)
    after[people[seen & later]] = np.flatnonzero(seen & later)
    first = np.full(count, -1)
    first[people[::-1]] = np.arange(len(people))[::-1]
    row = np.where(before >= 0, before, first)
    change = np.where((before >= 0) & (after >= 0), base.outcome[after] - base.outcome[before], np.nan)
    changes = Groups(
        outcome=change,
        treated=base.treated[row],
        weight=base.weight[row],
        team=base.team[row] if base.has_teams else np.arange(count),
        has_teams=base.has_teams,
        covariates=base.covariates[row],
        covariate_names=base.covariate_names,
    )
    found = difference_in_means(changes, level)
    means = {
        f"{name}_{time}": _mean(base.outcome[rows], base.weight[rows])
        for name, group in (("treated", base.treated), ("comparison", ~base.treated))
        for time, moment in (("before", ~later), ("after", later))
        for rows in [group & moment & seen]
    }
    figures = {"changes": found.figures["difference"], "all_rows": every}
    figures |= {name: figure for name, figure in found.figures.items() if name != "difference"}
    apart = None
    if not changes.seen.any():
        apart = min(int((base.treated & moment & seen).sum()) for moment in (~later, later))
    return TwoGroups(changes, found.effect, found.adjusted, figures, means, apart)


def _effect(
    outcome: FloatArray,
    columns: FloatArray,
    weight: FloatArray,
    has_teams: bool,  # noqa: FBT001 - one of the facts
    team: IntArray,
    treated: BoolArray,
    level: float,
) -> Interval:
    """Give the interval that the verdict takes: by team if there are teams, else HC2 with Welch's degrees."""
    if not treated.any() or treated.all():
        return UNKNOWN
    found = regress(outcome, columns, weight=weight)
    estimate = float(found.coefficients[1])
    noise = 1e-10 * max(float(np.abs(outcome).max()), 1e-300)
    if not has_teams:
        se = float(found.hc2[1])
        return jackknife.interval(estimate, se if se > noise else np.nan, _welch(outcome, treated, found.df), level)
    teams = np.unique(team)
    replicates = []
    for one in teams:
        kept = team != one
        if not treated[kept].any() or treated[kept].all():
            replicates.append(np.nan)
            continue
        replicates.append(float(regress(outcome[kept], columns[kept], weight=weight[kept]).coefficients[1]))
    se = float(jackknife.standard_errors(np.array(replicates)[:, None])[0])
    return jackknife.interval(estimate, se if se > noise else np.nan, len(teams) - 1, level)


def _welch(outcome: FloatArray, treated: BoolArray, most: int) -> float:
    parts = [outcome[treated], outcome[~treated]]
    if min(map(len, parts)) < 2:
        return 0.0
    shares = [float(part.var(ddof=1)) / len(part) for part in parts]
    below = sum(share**2 / (len(part) - 1) for share, part in zip(shares, parts, strict=True))
    return min(float(most), sum(shares) ** 2 / below) if below > 0 else float(most)


def _regress(
    outcome: FloatArray, columns: FloatArray, weight: FloatArray, team: IntArray, treated: BoolArray
) -> Estimate:
    if not treated.any() or treated.all():
        return Estimate(None, None, None, None, None, int(treated.sum()), int((~treated).sum()), 0)
    return _estimate(regress(outcome, columns, weight=weight, cluster=team), 1, treated)


def _estimate(found: Regression, place: int, treated: BoolArray) -> Estimate:
    def number(values: FloatArray | None) -> float | None:
        return None if values is None or not np.isfinite(values[place]) else float(values[place])

    return Estimate(
        estimate=number(found.coefficients),
        se_pooled=number(found.pooled),
        se_hc1=number(found.hc1),
        se_hc2=number(found.hc2),
        se_cluster=number(found.cluster),
        treated=int(treated.sum()),
        comparison=int((~treated).sum()),
        df=found.df,
    )


def _mean(values: FloatArray, weight: FloatArray) -> float | None:
    return float(np.average(values, weights=weight)) if len(values) else None


def _weights(column: Columns, name: str) -> FloatArray:
    weights = as_numbers(column, name)
    if (weights < 0).any():
        raise PanelError("a weight below 0", column=name, row=int(np.argmax(weights < 0)) + 1)
    return weights


def _flags(column: Columns, name: str) -> BoolArray:
    """Read 0 and 1, in any of the ways that people write them."""
    found = []
    for row, value in enumerate(np.asarray(column).tolist(), 1):
        if is_missing(value):
            raise PanelError("is empty", column=name, row=row)
        flag = _FLAGS.get(str(value).strip().casefold())
        if flag is None:
            raise PanelError(f"{value!r} is neither 0 nor 1", column=name, row=row)
        found.append(flag)
    return np.array(found, bool)


_FLAGS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True, "no": False, "yes": True}


def _refuse_again(people: IntArray, name: str) -> None:
    order = np.argsort(people, kind="stable")
    same = np.flatnonzero(np.diff(people[order]) == 0)
    if len(same):
        row = int(order[same + 1].min())
        earlier = int(np.flatnonzero(people == people[row])[0]) + 1
        text = f"same person as row {earlier:,}, and an experiment has one row for each: with --period it has two"
        raise PanelError(text, column=name, row=row + 1)


def _refuse_uneven(people: IntArray, later: BoolArray, treated: BoolArray, called: Mapping[str, str]) -> None:
    """Refuse a person who is in both groups, or twice in one period."""
    first: dict[int, int] = {}
    seen: dict[tuple[int, bool], int] = {}
    for row, (person, moment, flag) in enumerate(zip(people.tolist(), later.tolist(), treated.tolist(), strict=True)):
        start = first.setdefault(person, row)
        if treated[start] != flag:
            text = f"differs from row {start + 1:,} of the same person"
            raise PanelError(text, column=called.get("treated", "treated"), row=row + 1)
        other = seen.setdefault((person, moment), row)
        if other != row:
            raise PanelError(f"same person and period as row {other + 1:,}", column=called["period"], row=row + 1)
