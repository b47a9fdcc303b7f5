"""The donut imputation difference-in-differences (`impact.md`, section 3, steps 3 to 7).

1. Untrained rows (before training, and all of who is never trained) give each role and period its level, beside a
   level for each person.
2. A trained person's own level is taken anew from their weeks before the nomination window: people are sent after weak
   weeks, and would have recovered anyway. The window's rows stay in step 1; without them the levels of the weeks would
   be those of who was not just about to be sent, which is biased too.
3. What a trained person did less what both levels predict is the effect in that week; estimates are averages of those.

Without a window that is the imputation estimator of Borusyak, Jaravel and Spiess, and the point of Gardner's did2s.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse

from bridge.impact import jackknife
from bridge.impact.columns import BoolArray, FloatArray, IntArray
from bridge.impact.contract import Contract
from bridge.impact.designs import Design
from bridge.impact.fixed_effects import Groups, Solution
from bridge.impact.panels import Panel

LATE_PERIODS = 4
"""Durability compares so many last periods of the horizon with the first so many (`impact.md`, feature 46)."""
NOISE = 1e-10
"""Share of the metric's own variation that is rounding and no variation."""
ROUNDING = 1e-13
"""The same, as a share of its largest value."""


@dataclass(frozen=True)
class Counts:
    """What an estimate was made of, and what was left out of it."""

    rows: int
    people: int
    trained: int
    """People trained inside the panel."""
    used: int
    """Trained people with enough clean periods and with supported ones after."""
    trained_enough: int
    """Trained people with enough clean periods and `min_post` used ones inside the horizon."""
    comparison: int
    """People who were untrained in a role and period that a used row is compared with."""
    comparison_enough: int
    """People with `min_pre` untrained periods before a training in their role, and `min_post` since."""
    teams: int
    trained_teams: int
    """Teams with used people."""
    groups: int
    """Groups that the jackknife leaves out, one at a time."""
    treated_rows: int
    """Person-periods since training, inside the horizon."""
    used_rows: int
    """Of those, the ones that the estimate is made of."""
    unlevelled_rows: int
    """Of those, without: the person has too few clean periods."""
    unsupported_rows: int
    """Of those, without: too few untrained people in that role and period."""
    always_trained: int
    """Trained people without any period before training."""
    unseen: int
    """People without any value: they count nowhere else."""
    movers: int
    """People who were in several teams: the one at assignment time counts."""
    training_periods: int
    """Distinct periods in which people were trained."""
    dropped_covariates: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Imputation:
    """All estimates of one fit, by name, with their replicates (groups x estimates).

    Names: `horizon`, `interim`, `late`, `all`, `post:K` and `pre:K` (bins of the event study, by their first period),
    `dip` (window against the own level), `slope` (trend of the trained before the window, for each period), `adjusted`
    (`horizon` less that trend), `cov:NAME`.
    """

    names: tuple[str, ...]
    values: FloatArray
    replicates: FloatArray
    group: IntArray = field(repr=False)
    """Each person's group of the jackknife."""
    rows: dict[str, IntArray] = field(repr=False)
    """Rows of each average."""
    counts: Counts
    scale: float
    """Standard deviation of the untrained rows around the levels of people and cells."""
    fit: "Fit" = field(repr=False)

    def get(self, name: str, level: float = 0.95) -> jackknife.Interval:
        if name not in self.names:
            return jackknife.UNKNOWN
        place = self.names.index(name)
        return self.interval(float(self.values[place]), self.replicates[:, place], level)

    def column(self, name: str) -> FloatArray:
        return self.replicates[:, self.names.index(name)]

    def value(self, name: str) -> float:
        return float(self.values[self.names.index(name)])

    def interval(self, value: float, replicates: FloatArray, level: float = 0.95) -> jackknife.Interval:
        """Make the interval of any function of the estimates, of its value and its replicates."""
        se = float(jackknife.standard_errors(replicates[:, None])[0])
        noise = max(NOISE * self.scale, ROUNDING * float(np.abs(self.fit.values[:, 0]).max(initial=0)))
        return jackknife.interval(value, se if se > noise else np.nan, len(replicates) - 1, level)


def estimate(panel: Panel, contract: Contract) -> Imputation:
    """Estimate everything that one fit gives."""
    design = Design(panel, contract)
    columns = _Columns(design)
    alone = _sums(design, columns, np.zeros(panel.people, np.int64), 1)
    full = alone.solve()
    fit = Fit(design, columns.values, columns.base, full, alone.person_means)
    free = design.untrained
    spread = np.bincount(panel.person[free], panel.weight[free] * fit.residuals**2, panel.people)
    group, groups = jackknife.deal(
        panel.team,
        trained=design.trained.astype(np.float64),
        spread=np.asarray(spread, np.float64),
        most=contract.max_groups,
    )
    used = _select(design, full)
    averages = _Averages(design, columns, _bins(design, used), group, groups)
    values = averages.evaluate(full, None)
    sums = _sums(design, columns, group, groups)
    replicates = np.array([averages.evaluate(sums.solve(one), one) for one in range(groups)])
    return Imputation(
        names=averages.names,
        values=values,
        replicates=replicates,
        group=group,
        rows=averages.rows,
        counts=_count(design, used, fit, groups),
        scale=fit.scale,
        fit=replace(fit, used=used),
    )


@dataclass(frozen=True, eq=False)
class Fit:
    """The model of the untrained rows, of everybody."""

    design: Design
    values: FloatArray
    base: list[int]
    solution: Solution
    person_means: FloatArray
    used: IntArray = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def coefficients(self) -> FloatArray:
        return self.solution.explain(self.base)[0]

    @property
    def unlevelled(self) -> FloatArray:
        """Each row's value less what its role and period and its covariates predict."""
        coefficients, effects = self.solution.explain(self.base)
        return np.asarray(
            self.values[:, 0] - effects[self.design.cell] - self.values[:, self.base] @ np.nan_to_num(coefficients)
        )

    @property
    def residuals(self) -> FloatArray:
        """What each untrained row differs by from person, role and period."""
        rows, panel = self.design.untrained, self.design.panel
        flat = self.unlevelled[rows]
        return np.asarray(flat - _means(panel, rows, flat)[panel.person[rows]])

    @property
    def effects(self) -> FloatArray:
        """The effect in each used row; for sums only, never shown."""
        return self.beyond(self.used)

    def beyond(self, rows: IntArray) -> FloatArray:
        """Give what rows of people with a clean level differ by from what is predicted; for sums only, never shown."""
        panel, clean = self.design.panel, self.design.clean
        flat = self.unlevelled
        return np.asarray(flat[rows] - _means(panel, clean, flat[clean])[panel.person[rows]])

    @property
    def scale(self) -> float:
        rows, panel = self.design.untrained, self.design.panel
        least = float(np.finfo(float).eps) * float(np.abs(panel.outcome).max(initial=0))
        if not len(rows):
            return least
        return max(least, float(np.sqrt(np.average(self.residuals**2, weights=panel.weight[rows]))))


class _Columns:
    """What is explained (column 0), and what it may be explained by besides people and cells."""

    def __init__(self, design: Design) -> None:
        panel, contract, since = design.panel, design.contract, design.since
        to_be = np.isfinite(since)
        window = to_be & (since < 0) & (since >= -contract.exclude_before)
        # 0 where the window begins; goes on after training, where it says what the trend alone would have given.
        trend = np.where(to_be & ~window, np.where(to_be, since, 0.0) + contract.exclude_before, 0.0)
        bins = [-(one + 1) * contract.bin for one in range(design.lead_bins)]
        leads = [to_be & (since >= start) & (since < start + contract.bin) for start in bins]
        self.values = np.column_stack([panel.outcome, panel.covariates, window, trend, *leads]).astype(np.float64)
        given = panel.covariates.shape[1]
        self.base = list(range(1, given + 1))
        self.window, self.trend = given + 1, given + 2
        self.leads = {f"pre:{start}": given + 3 + one for one, start in enumerate(bins)}
        clean = design.clean
        share = [float(np.average(lead[clean], weights=panel.weight[clean])) if len(clean) else 0.0 for lead in leads]
        self.clean_share = np.array(share)


def _sums(design: Design, columns: _Columns, group: IntArray, groups: int) -> Groups:
    rows, panel = design.untrained, design.panel
    return Groups(
        person=panel.person[rows],
        cell=design.cell[rows],
        weight=panel.weight[rows],
        values=columns.values[rows],
        group=group,
        groups=groups,
        cells=design.cells,
    )


def _select(design: Design, solution: Solution) -> IntArray:
    """Give the rows since training whose effect can be told."""
    rows, person = design.after, design.panel.person
    able = design.has_level[person[rows]] & design.has_support[design.cell[rows]]
    return rows[able & _comparable(design, solution, rows)]


def _comparable(design: Design, solution: Solution, rows: IntArray) -> BoolArray:
    """Tell which rows' cell is linked, through people who were in both, with the cells of the person's own level."""
    component = np.full(design.panel.people, -2, np.int64)
    component[design.panel.person[design.clean]] = solution.component[design.cell[design.clean]]
    return np.asarray(solution.component[design.cell[rows]] == component[design.panel.person[rows]])


def _bins(design: Design, used: IntArray) -> dict[str, IntArray]:
    """Give the rows of each average, by its name."""
    since, contract = design.since[used], design.contract
    horizon = design.horizon
    chosen = {"horizon": since < horizon, "interim": since < contract.interim, "all": since >= 0}
    if horizon >= 2 * LATE_PERIODS:
        chosen |= {"early": since < LATE_PERIODS, "late": (since >= horizon - LATE_PERIODS) & (since < horizon)}
    # Only bins that somebody was in: a horizon or a number of a period may lie far beyond the panel.
    there = np.unique(design.since[design.after] // contract.bin).astype(np.int64) * contract.bin
    for start in there[there < horizon].tolist():
        chosen[f"post:{start}"] = (since >= start) & (since < min(start + contract.bin, horizon))
    return {name: used[rows] for name, rows in chosen.items()}


class _Averages:
    """Averages of effects, as sums over each group of people of what the fit is then taken from."""

    def __init__(
        self, design: Design, columns: _Columns, rows: dict[str, IntArray], group: IntArray, groups: int
    ) -> None:
        self.design, self.columns, self.rows, self.group, self.groups = design, columns, rows, group, groups
        panel, clean = design.panel, design.clean
        weight = panel.weight[clean]
        own = np.bincount(panel.person[clean], weight, panel.people)
        share = weight / own[panel.person[clean]]
        self.levels = scipy.sparse.csr_array(
            (share, (panel.person[clean], design.cell[clean])), shape=(panel.people, design.cells)
        )
        means = [_means(panel, clean, columns.values[clean, one]) for one in range(columns.values.shape[1])]
        self.away = columns.values - np.column_stack(means)[panel.person]
        self.sums = {name: self._sum(chosen) for name, chosen in rows.items()}
        self.names = (*rows, "adjusted", "dip", "slope", *columns.leads, *(f"cov:{n}" for n in panel.covariate_names))

    def _sum(self, rows: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sum, for each group: values away from the clean level, cells likewise, and weights."""
        panel, cells, groups = self.design.panel, self.design.cells, self.groups
        weight, of_row = panel.weight[rows], self.group[panel.person[rows]]
        values = np.column_stack(
            [np.bincount(of_row, weight * self.away[rows, one], groups) for one in range(self.away.shape[1])]
        )
        own = np.bincount(panel.person[rows], weight, panel.people)
        by_cell = np.bincount(of_row * cells + self.design.cell[rows], weight, groups * cells).reshape(groups, cells)
        spread = scipy.sparse.csr_array((own, (self.group, np.arange(panel.people))), shape=(groups, panel.people))
        levels = scipy.sparse.csr_array(spread @ self.levels).toarray()
        total = np.bincount(of_row, weight, groups).astype(np.float64)
        return values.astype(np.float64), np.asarray(by_cell - levels), total

    def evaluate(self, solution: Solution, without: int | None) -> FloatArray:
        """Give all estimates, in the order of `names`; NaN where one cannot be told."""
        columns = self.columns
        base, cells = solution.explain(columns.base)
        risen, _ = solution.explain([*columns.base, columns.window])
        trended, trend_cells = solution.explain([*columns.base, columns.window, columns.trend])
        leads, _ = solution.explain([*columns.base, *columns.leads.values()])
        lost = self._lost(solution, without)
        found = []
        for name in self.rows:
            values, by_cell, weight = self._total(name, without, lost)
            found.append(_divide(values[0] - by_cell @ cells - values[columns.base] @ np.nan_to_num(base), weight))
        values, by_cell, weight = self._total("horizon", without, lost)
        chosen = [*columns.base, columns.trend]
        slopes = np.append(trended[:-2], trended[-1])
        expected = values[chosen] @ np.append(np.nan_to_num(slopes[:-1]), slopes[-1])
        found.append(_divide(values[0] - by_cell @ trend_cells - expected, weight))
        steps = leads[len(columns.base) :]
        clean = steps - columns.clean_share @ steps if len(steps) else steps
        return np.array([*found, risen[-1], trended[-1], *clean, *base])

    def _total(self, name: str, without: int | None, lost: BoolArray | None) -> tuple[FloatArray, FloatArray, float]:
        parts = self.sums[name]
        if lost is not None:
            # Without this group some rows have nothing to be compared with: they are left out with it.
            rows = self.rows[name]
            parts = self._sum(rows[~lost[rows]])
        kept = [part.sum(axis=0) if without is None else part.sum(axis=0) - part[without] for part in parts]
        if parts[2].sum() > 0 and kept[2] <= NOISE * parts[2].sum():
            return kept[0], kept[1], 0.0
        return kept[0], kept[1], float(kept[2])

    def _lost(self, solution: Solution, without: int | None) -> BoolArray | None:
        """Tell which rows cannot be compared without the group; None, if all can."""
        if without is None:
            return None
        rows = self.rows["all"]
        rows = rows[self.group[self.design.panel.person[rows]] != without]
        able = _comparable(self.design, solution, rows)
        if able.all():
            return None
        lost = np.zeros(len(self.design.since), bool)
        lost[rows[~able]] = True
        return lost


def _divide(value: float, weight: float) -> float:
    return float(value) / weight if weight > 0 else np.nan


def _means(panel: Panel, rows: IntArray, values: FloatArray) -> FloatArray:
    """Give each person's weighted mean over some rows; 0 without any."""
    weight, person = panel.weight[rows], panel.person[rows]
    own = np.bincount(person, weight, panel.people)
    return np.asarray(np.bincount(person, weight * values, panel.people) / np.where(own > 0, own, 1.0))


def _count(design: Design, used: IntArray, fit: Fit, groups: int) -> Counts:
    panel, contract, since = design.panel, design.contract, design.since
    inside = design.after[since[design.after] < design.horizon]
    taken = used[since[used] < design.horizon]
    levelled = design.has_level[panel.person[inside]]
    periods_used = np.bincount(panel.person[taken], minlength=panel.people)
    cells = np.zeros(design.cells, bool)
    cells[design.cell[taken]] = True
    compared = design.untrained[cells[design.cell[design.untrained]]]
    has_before = np.zeros(panel.people, bool)
    has_before[panel.person[design.untrained]] = True
    listed = np.bincount(panel.person, minlength=panel.people) > 0
    dropped = np.isnan(fit.coefficients)
    return Counts(
        rows=len(panel.person),
        people=int(listed.sum()),
        trained=int((design.trained & listed).sum()),
        used=int((periods_used > 0).sum()),
        trained_enough=int((periods_used >= contract.min_post).sum()),
        comparison=len(np.unique(panel.person[compared])),
        comparison_enough=design.comparison_enough,
        teams=panel.teams,
        trained_teams=len(np.unique(panel.team[panel.person[taken]])),
        groups=groups,
        treated_rows=len(inside),
        used_rows=len(taken),
        unlevelled_rows=int((~levelled).sum()),
        unsupported_rows=int(levelled.sum()) - len(taken),
        always_trained=int((design.trained & listed & ~has_before).sum()),
        unseen=panel.unseen,
        movers=panel.movers,
        training_periods=len(np.unique(panel.first_treated[design.trained & listed])),
        dropped_covariates=tuple(n for n, gone in zip(panel.covariate_names, dropped, strict=True) if gone),
    )
