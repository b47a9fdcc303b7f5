"""What estimators need to know of each row: since when, compared with whom, whether it may give a level."""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np

from bridge.impact.columns import BoolArray, FloatArray, IntArray
from bridge.impact.contract import Contract
from bridge.impact.panels import Panel

LEAST_FOR_A_TREND = 3
"""Clean periods: the slope of two is one difference, which chance makes as easily as a trend does."""


@dataclass(frozen=True, eq=False)
class Design:
    """A panel seen by a contract. Event time is periods since training: 0 in the period of training itself."""

    panel: Panel
    contract: Contract

    @cached_property
    def since(self) -> FloatArray:
        return self.panel.event_time

    @cached_property
    def periods(self) -> IntArray:
        """The panel's distinct periods, in order."""
        return np.unique(self.panel.period)

    @cached_property
    def cell(self) -> IntArray:
        """Number of each row's role and period, of those that somebody was in."""
        place = np.searchsorted(self.periods, self.panel.period)
        _, cell = np.unique(self.panel.role * max(len(self.periods), 1) + place, return_inverse=True)
        return cast("IntArray", cell.reshape(-1))

    @cached_property
    def cells(self) -> int:
        return int(self.cell.max()) + 1 if len(self.cell) else 0

    @cached_property
    def untrained(self) -> IntArray:
        """Rows before training, and all of who is never trained."""
        return np.flatnonzero(self.since < 0)

    @cached_property
    def clean(self) -> IntArray:
        """Rows of those to be trained, before the nomination window."""
        known = np.isfinite(self.since)
        return np.flatnonzero(known & (self.since < -self.contract.exclude_before) & (self.since < 0))

    @cached_property
    def after(self) -> IntArray:
        """Rows since training."""
        return np.flatnonzero(self.since >= 0)

    @cached_property
    def horizon(self) -> int:
        """Periods that the effect is averaged over."""
        if self.contract.horizon is not None:
            return self.contract.horizon
        return int(self.since[self.after].max(initial=0)) + 1

    @cached_property
    def trained(self) -> BoolArray:
        """People who were trained inside the panel."""
        last = self.periods[-1] if len(self.periods) else -np.inf
        return self.panel.first_treated <= last

    @cached_property
    def trained_at_once(self) -> bool:
        """Whether all who were trained were so in one period, and nobody was untrained from then on."""
        moments = np.unique(self.panel.first_treated[self.trained])
        return len(moments) == 1 and not (self.panel.period[self.untrained] >= moments[0]).any()

    @cached_property
    def has_support(self) -> BoolArray:
        """Cells with enough untrained people to say how it would have been without training."""
        return np.asarray(np.bincount(self.cell[self.untrained], minlength=self.cells) >= self.contract.support)

    @cached_property
    def has_level(self) -> BoolArray:
        """People with enough clean periods."""
        clean = np.bincount(self.panel.person[self.clean], minlength=self.panel.people)
        return np.asarray(clean >= self.contract.min_pre)

    @cached_property
    def shows_a_trend(self) -> bool:
        """Whether most trained people with a level have periods enough to tell a trend from one odd period."""
        clean = np.bincount(self.panel.person[self.clean], minlength=self.panel.people)
        own = clean[self.has_level & self.trained]
        return bool(len(own)) and float(np.median(own)) >= LEAST_FOR_A_TREND

    @cached_property
    def lead_bins(self) -> int:
        """How many bins before training leave at least half of the people a period before them to be compared with."""
        size, most = self.contract.bin, -(-self.horizon // self.contract.bin)
        rows = self.untrained[np.isfinite(self.since[self.untrained])]
        if not len(rows):
            return 0
        first = np.full(self.panel.people, 0.0)
        np.minimum.at(first, self.panel.person[rows], self.since[rows])
        own = first[np.unique(self.panel.person[rows])]
        reach = -float(np.median(own)) - 1
        return max(0, min(most, int(reach // size), len(self.periods)))

    @cached_property
    def comparison_enough(self) -> int:
        """People with `min_pre` untrained periods before a training in their role, and `min_post` since."""
        panel, contract = self.panel, self.contract
        rows, found = self.untrained, 0
        own = panel.person[rows]
        bounds = np.searchsorted(own, np.arange(panel.people + 1))
        firsts = self._trainings_by_role()
        count = np.diff(bounds)
        able = np.flatnonzero(count >= contract.min_pre + contract.min_post)
        before = panel.period[rows[bounds[able] + contract.min_pre - 1]]
        last_start = rows[bounds[able + 1] - contract.min_post]
        since, role = panel.period[last_start], panel.role[last_start]
        for one in np.unique(role):
            moments = firsts.get(int(one), np.empty(0))
            chosen = role == one
            # A training after the last of the periods before, and not after the first of those since.
            place = np.searchsorted(moments, before[chosen], side="right")
            nearest = np.append(moments, np.inf)[place]
            found += int((nearest <= since[chosen]).sum())
        return found

    def _trainings_by_role(self) -> dict[int, FloatArray]:
        rows = self.after
        roles, person = self.panel.role[rows], self.panel.person[rows]
        return {int(one): np.unique(self.panel.first_treated[person[roles == one]]) for one in np.unique(roles)}
