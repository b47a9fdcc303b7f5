"""The panel that a drawn company gives the impact engine, without the way through statements and exports."""

from collections.abc import Mapping

import numpy as np

from bridge.impact import Contract, Direction, Metric, Panel, panel
from bridge.simulation.company import METRICS, Company, Ints

CONTRACT = Contract(
    metrics=(
        Metric("log_minutes", Direction.LOWER, 0.05, title="Log of minutes"),
        Metric("won", Direction.HIGHER, 0.03, title="Share won"),
        Metric("rating", Direction.HIGHER, 0.10, title="Rating"),
        Metric("follow_ups", Direction.HIGHER, 0.30, title="Follow-ups"),
    ),
    primary="log_minutes",
)
"""As the simulated program has it; minutes come as logs already, so their effect is one of logs."""


def panels(company: Company) -> Mapping[str, Panel]:
    """Give the panel of each metric."""
    people = company.people
    found = {}
    for metric in METRICS:
        total, count = company.weekly(metric)
        found[metric] = panel(
            person=company.person,
            period=company.week,
            outcome=np.where(count > 0, total / np.maximum(count, 1), np.nan),
            first_treated=_moments(people.trained[company.person]),
            assigned=_moments(people.assigned[company.person]),
            team=people.team[company.person],
            role=people.role[company.person],
        )
    return found


def _moments(weeks: Ints) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give the weeks as the engine has them: infinity for never."""
    return np.where(weeks > 0, weeks.astype(np.float64), np.inf)
