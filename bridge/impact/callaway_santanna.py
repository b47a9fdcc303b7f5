"""Callaway and Sant'Anna's estimator (2021): every ATT(g,t), and their averages, each with its influence function.

ATT(g,t) is how people trained in g moved from a base period to t, less how the comparison did: those never trained, or
those not trained by then. The base is the last period before training and before the nomination window; for a period
before training it is the one before that. People are compared within their role.

A pair of periods is compared on who has a value in both. Standard errors are by clusters (teams), intervals normal, as
published ones are; the verdict's own are the jackknife's of the imputation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.stats

from bridge.impact.columns import BoolArray, FloatArray, IntArray
from bridge.impact.contract import Control
from bridge.impact.doubly_robust import difference
from bridge.impact.jackknife import UNKNOWN, Interval, interval
from bridge.impact.panels import Panel


@dataclass(frozen=True)
class GroupTime:
    """One ATT(g,t): people trained in `group`, in `period`."""

    group: int
    period: int
    interval: Interval
    treated: int
    controls: int


@dataclass(frozen=True)
class Averages:
    """An average over all, and its parts by training period, periods since training, or period."""

    overall: Interval
    parts: dict[int, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Wald:
    """Whether all estimates of the time before are 0; rejects too often when they are many and clusters few."""

    statistic: float
    df: int
    p: float


@dataclass(frozen=True)
class CallawaySantanna:
    """Names as in the R package `did`, whose `dynamic` is `event` here."""

    control: Control
    simple: Interval
    horizon: Interval
    """As `simple`, over the periods of the horizon."""
    group: Averages
    event: Averages
    calendar: Averages
    pretrend: Wald | None
    group_time: tuple[GroupTime, ...]
    people: int
    always_trained: int
    """People trained too early to have a base period: left out."""


def callaway_santanna(
    panel: Panel,
    *,
    control: Control,
    anticipation: int = 0,
    horizon: int | None = None,
    most_before: int | None = None,
    level: float = 0.95,
) -> CallawaySantanna:
    """Estimate all; with `most_before` only so many periods before training, and with it only the horizon after."""
    wide = _Wide(panel, anticipation)
    cells = [
        cell
        for kind, (group, _) in enumerate(wide.kinds)
        for place, period in enumerate(wide.periods.tolist())
        if most_before is None or -most_before <= period - group < (horizon or np.inf)
        if (cell := _compare(wide, kind, place, control)) is not None
    ]
    return _Averaging(wide, cells, level).all(control, horizon)


class _Wide:
    """People x periods, without those trained before anything could be seen of them."""

    def __init__(self, panel: Panel, anticipation: int) -> None:
        self.anticipation = anticipation
        self.periods = np.unique(panel.period)
        listed = np.bincount(panel.person, minlength=panel.people) > 0
        first, final = (self.periods[0], self.periods[-1]) if len(self.periods) else (0, 0)
        group = np.where(panel.first_treated > final, np.inf, panel.first_treated)
        here = listed & (group > first + anticipation)
        self.always_trained = int((listed & ~here).sum())
        number = np.cumsum(here) - 1
        rows = here[panel.person]
        self.people = int(here.sum())
        self.group = group[here]
        person, place = number[panel.person[rows]], np.searchsorted(self.periods, panel.period[rows])
        shape = (self.people, len(self.periods))
        self.outcome, self.weight = np.full(shape, np.nan), np.zeros(shape)
        self.outcome[person, place] = panel.outcome[rows]
        self.weight[person, place] = panel.weight[rows]
        self.covariates: FloatArray | None = None
        if panel.covariates.shape[1]:
            self.covariates = np.zeros((*shape, panel.covariates.shape[1]))
            self.covariates[person, place] = panel.covariates[rows]
        _, cluster = np.unique(panel.team[here], return_inverse=True)
        self.cluster: IntArray = cluster.reshape(-1).astype(np.int64)
        self.clusters = int(self.cluster.max(initial=-1)) + 1
        self.role = self._roles(panel, person, rows)
        self.by_role = {int(role): np.flatnonzero(self.role == role) for role in np.unique(self.role)}
        finite = np.isfinite(self.group)
        self.kinds = sorted({(int(g), int(r)) for g, r in zip(self.group[finite], self.role[finite], strict=True)})
        # A person's weight among people is that of the first row, as in `did`.
        own = self.weight[np.arange(self.people), np.argmax(self.weight > 0, axis=1)] if self.people else np.zeros(0)
        self.own = own / own.mean() if self.people else own

    def _roles(self, panel: Panel, person: IntArray, rows: BoolArray) -> IntArray:
        """Give each person's role in the last row before training, else in the first since."""
        role = np.zeros(self.people, np.int64)
        role[person[::-1]] = panel.role[rows][::-1]
        before = panel.period[rows] < self.group[person]
        role[person[before]] = panel.role[rows][before]
        return role


@dataclass(frozen=True, eq=False)
class _Cell:
    kind: int
    group: int
    period: int
    estimate: float
    influence: FloatArray
    """Sum over each cluster."""
    treated: int
    controls: int


def _compare(wide: _Wide, kind: int, place: int, control: Control) -> _Cell | None:
    """Compare one group of one role in one period with those who may be compared; None if there are none."""
    group, role = wide.kinds[kind]
    period = int(wide.periods[place])
    base = place - 1
    if period >= group:
        base = int(np.searchsorted(wide.periods, group - wide.anticipation)) - 1
    if base < 0:
        return None
    alike = wide.by_role[role]
    groups = wide.group[alike]
    least = np.inf if control is Control.NEVER else max(period, int(wide.periods[base])) + wide.anticipation + 1
    chosen = (groups >= least) | (groups == group)
    alike = alike[chosen]
    change = wide.outcome[alike, place] - wide.outcome[alike, base]
    seen = np.isfinite(change)
    asked, change, treated = alike[seen], change[seen], (groups[chosen] == group)[seen]
    earlier = min(place, base)
    covariates = None if wide.covariates is None else wide.covariates[asked, earlier]
    estimate, influence = difference(change, treated, wide.weight[asked, earlier], covariates)
    if not np.isfinite(estimate):
        return None
    sums = np.bincount(wide.cluster[asked], influence, wide.clusters)
    count = int(treated.sum())
    return _Cell(kind, group, period, estimate, sums.astype(np.float64), count, len(asked) - count)


class _Averaging:
    def __init__(self, wide: _Wide, cells: Sequence[_Cell], level: float) -> None:
        self.wide, self.cells, self.level = wide, cells, level
        kinds = len(wide.kinds)
        self.share = np.zeros(kinds)
        self.on_share = np.zeros((kinds, wide.clusters))
        for kind, (group, role) in enumerate(wide.kinds):
            weight = wide.own * ((wide.group == group) & (wide.role == role))
            self.share[kind] = weight.mean()
            away = (weight - self.share[kind]) / wide.people
            self.on_share[kind] = np.bincount(wide.cluster, away, wide.clusters)

    def all(self, control: Control, horizon: int | None) -> CallawaySantanna:
        after = [one for one in self.cells if one.period >= one.group]
        inside = [one for one in after if horizon is None or one.period - one.group < horizon]
        return CallawaySantanna(
            control=control,
            simple=self._interval(self._mean(after)),
            horizon=self._interval(self._mean(inside)),
            group=self._by_group(after),
            event=self._by(self.cells, lambda cell: cell.period - cell.group, lambda event: event >= 0),
            calendar=self._by(after, lambda cell: cell.period, lambda _: True),
            pretrend=self._pretrend(),
            group_time=tuple(self._group_times()),
            people=self.wide.people,
            always_trained=self.wide.always_trained,
        )

    def _mean(self, cells: Sequence[_Cell]) -> tuple[float, FloatArray]:
        """Average by the groups' shares of people, which are estimates too."""
        if not cells:
            return np.nan, np.zeros(self.wide.clusters)
        kinds = [cell.kind for cell in cells]
        estimates, share = np.array([cell.estimate for cell in cells]), self.share[kinds]
        total = share.sum()
        mean = float(estimates @ share / total)
        influence = sum((cell.influence * one for cell, one in zip(cells, share / total, strict=True)), start=0.0)
        return mean, np.asarray(influence + (estimates - mean) @ self.on_share[kinds] / total)

    def _by(self, cells: Iterable[_Cell], key: Callable[[_Cell], int], counts: Callable[[int], bool]) -> Averages:
        """Average the cells of each key, and those averages that count, each alike."""
        parts: dict[int, list[_Cell]] = {}
        for cell in cells:
            parts.setdefault(key(cell), []).append(cell)
        means = {one: self._mean(parts[one]) for one in sorted(parts)}
        counting = [mean for one, mean in means.items() if counts(one)]
        overall = UNKNOWN
        if counting:
            influence = np.mean([influence for _, influence in counting], axis=0)
            overall = self._interval((float(np.mean([mean for mean, _ in counting])), influence))
        return Averages(overall, {one: self._interval(mean) for one, mean in means.items()})

    def _by_group(self, cells: Sequence[_Cell]) -> Averages:
        """Average each group over its periods alike, and the groups by their shares."""
        by_kind: dict[int, list[_Cell]] = {}
        for cell in cells:
            by_kind.setdefault(cell.kind, []).append(cell)
        of_kind = [
            _Cell(
                kind=kind,
                group=own[0].group,
                period=own[0].group,
                estimate=float(np.mean([cell.estimate for cell in own])),
                influence=np.mean([cell.influence for cell in own], axis=0),
                treated=own[0].treated,
                controls=own[0].controls,
            )
            for kind, own in by_kind.items()
        ]
        parts = {
            group: [cell for cell in of_kind if cell.group == group] for group in sorted({c.group for c in of_kind})
        }
        return Averages(
            self._interval(self._mean(of_kind)),
            {group: self._interval(self._mean(own)) for group, own in parts.items()},
        )

    def _group_times(self) -> Iterable[GroupTime]:
        """Give every ATT(g,t), averaged over roles."""
        found: dict[tuple[int, int], list[_Cell]] = {}
        for cell in self.cells:
            found.setdefault((cell.group, cell.period), []).append(cell)
        for (group, period), own in sorted(found.items()):
            treated, controls = sum(cell.treated for cell in own), sum(cell.controls for cell in own)
            yield GroupTime(group, period, self._interval(self._mean(own)), treated, controls)

    def _pretrend(self) -> Wald | None:
        before = [cell for cell in self.cells if cell.period < cell.group]
        if not before or len(before) >= self.wide.clusters:
            return None
        estimates = np.array([cell.estimate for cell in before])
        influence = np.array([cell.influence for cell in before])
        spread = influence @ influence.T
        if np.linalg.matrix_rank(spread) < len(before):
            return None
        statistic = float(estimates @ np.linalg.solve(spread, estimates))
        return Wald(statistic, len(before), float(scipy.stats.chi2.sf(statistic, len(before))))

    def _interval(self, mean: tuple[float, FloatArray]) -> Interval:
        estimate, influence = mean
        return interval(estimate, float(scipy.linalg.norm(influence)), np.inf, self.level)
