"""The impact engine against companies whose truth is known: `make yardstick`, or `python -m bench.yardstick`.

Each line of the table is a kind of company, drawn 200 times with seeds 0 to 199; what is asked of the engine are the
acceptance figures at the end of section 6 of the impact reference. The table is written to YARDSTICK.md beside this
file. Exits with 1 when a figure is out of its bounds.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bridge.impact import ENGINE_VERSION, Code, Contract, assess
from bridge.simulation.company import Nomination, Plan, draw
from bridge.simulation.panels import CONTRACT, panels

REPLICATIONS = 200
TABLE = Path(__file__).with_name("YARDSTICK.md")
METRICS = CONTRACT.names


@dataclass(frozen=True)
class Scenario:
    """A kind of company, and what is asked of the engine there; bounds are shares."""

    name: str
    plan: Plan
    contract: Contract = CONTRACT
    most_refused_by_design: float | None = None
    least_refused_by_design: float | None = None
    power: dict[str, float] | None = None
    """By metric, at least."""


BIG = dict.fromkeys(METRICS, 0.95)
SMALL = {"won": 0.70, "log_minutes": 0.85, "rating": 0.85}
SCENARIOS = (
    Scenario("40 teams, no effect", Plan(0, effect=0)),
    Scenario("40 teams, base effect", Plan(0), most_refused_by_design=0.20, power=BIG),
    Scenario("40 teams, half effect", Plan(0, effect=0.5)),
    Scenario("40 teams, no effect, strong regression to the mean", Plan(0, effect=0, shock=1.2, ability=0.7)),
    Scenario(
        "40 teams, no effect, improvers nominated",
        Plan(0, effect=0, nomination=Nomination.IMPROVING, drift=0.03),
        least_refused_by_design=0.90,
    ),
    Scenario(
        "40 teams, no effect, random order",
        Plan(0, effect=0, nomination=Nomination.RANDOM),
        replace(CONTRACT, randomised=True),
    ),
    Scenario(
        "40 teams, base effect, random order", Plan(0, nomination=Nomination.RANDOM), replace(CONTRACT, randomised=True)
    ),
    Scenario("12 teams, no effect", Plan(0, teams=12, size=8, effect=0)),
    Scenario("12 teams, base effect", Plan(0, teams=12, size=8), power=SMALL),
)

BIAS, COVERAGE, FALSE_ALARMS, FAMILY_WISE = 0.05, (0.91, 0.99), 0.09, 0.10


@dataclass(frozen=True)
class Run:
    """What came out of one company, by metric in the order of the contract."""

    truth: tuple[float, ...]
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    p: tuple[float, ...]
    p_holm: tuple[float, ...]
    by_design: bool
    """Whether the design test refused."""
    grade: str


def run(scenario: Scenario, seed: int) -> Run:
    """Draw a company and assess it."""
    company = draw(replace(scenario.plan, seed=seed))
    assessed = assess(panels(company), scenario.contract)
    results = [assessed.results[name] for name in METRICS]
    return Run(
        truth=tuple(company.true_effect(name) for name in METRICS),
        estimate=_numbers(result.att.estimate for result in results),
        low=_numbers(result.att.low for result in results),
        high=_numbers(result.att.high for result in results),
        p=_numbers(result.att.p for result in results),
        p_holm=_numbers(result.p_holm for result in results),
        by_design=assessed.verdict.has(Code.DESIGN),
        grade=assessed.verdict.grade.value,
    )


def _numbers(values: Iterator[float | None]) -> tuple[float, ...]:
    return tuple(np.nan if value is None else value for value in values)


@dataclass(frozen=True)
class Score:
    """A scenario's figures, by metric where they are tuples."""

    scenario: Scenario
    runs: int
    bias: tuple[float, ...]
    """Of the true effect; of one half of the planted one where there is none."""
    coverage: tuple[float, ...]
    claims: tuple[float, ...]
    """Share of runs with p < 0.05: false alarms where there is no effect, else power."""
    family_wise: float
    """Share of runs in which any metric has p < 0.05 after Holm."""
    by_design: float
    grades: dict[str, float]

    def faults(self) -> Iterator[str]:
        """Tell which bounds are broken."""
        scenario = self.scenario
        valid = scenario.least_refused_by_design is None
        for name, bias, coverage, claims in zip(METRICS, self.bias, self.coverage, self.claims, strict=True):
            if valid and scenario.plan.effect and abs(bias) > BIAS:
                yield f"{name}: bias {bias:+.1%} of the effect"
            if valid and not COVERAGE[0] <= coverage <= COVERAGE[1]:
                yield f"{name}: coverage {coverage:.1%}"
            if valid and not scenario.plan.effect and claims > FALSE_ALARMS:
                yield f"{name}: false alarms {claims:.1%}"
            least = (scenario.power or {}).get(name)
            if least is not None and claims < least:
                yield f"{name}: power {claims:.1%}"
        if valid and not scenario.plan.effect and self.family_wise > FAMILY_WISE:
            yield f"any metric after Holm: {self.family_wise:.1%}"
        if scenario.most_refused_by_design is not None and self.by_design > scenario.most_refused_by_design:
            yield f"refused by the design test: {self.by_design:.1%}"
        if scenario.least_refused_by_design is not None and self.by_design < scenario.least_refused_by_design:
            yield f"refused by the design test: {self.by_design:.1%}"


def score(scenario: Scenario, runs: list[Run]) -> Score:
    """Sum up a scenario's runs."""
    truth, estimate = (np.array([getattr(one, key) for one in runs]) for key in ("truth", "estimate"))
    low, high, p, holm = (np.array([getattr(one, key) for one in runs]) for key in ("low", "high", "p", "p_holm"))
    size = np.abs(truth.mean(axis=0))
    right = np.sign(estimate) == np.sign(truth) if scenario.plan.effect else np.ones_like(p, dtype=bool)
    grades = sorted({one.grade for one in runs})
    bias = (estimate - truth).mean(axis=0) / np.where(size > 0, size, np.nan)
    return Score(
        scenario,
        len(runs),
        bias=tuple(bias),
        coverage=tuple(((low <= truth) & (truth <= high)).mean(axis=0)),
        claims=tuple(((p < 0.05) & right).mean(axis=0)),
        family_wise=float((holm < 0.05).any(axis=1).mean()),
        by_design=float(np.mean([one.by_design for one in runs])),
        grades={grade: float(np.mean([one.grade == grade for one in runs])) for grade in grades},
    )


def table(scores: list[Score], seconds: float) -> str:
    """Write the table as Markdown."""
    today = datetime.now(UTC).date()
    names = ", ".join(metric.words for metric in CONTRACT.metrics)
    about = (
        f"Engine {ENGINE_VERSION}, {today}, {scores[0].runs} companies a line (seeds 0 to {scores[0].runs - 1}), "
        f"{seconds / 60:.0f} minutes on {os.cpu_count()} cores: `make yardstick`."
    )
    legend = (
        f"Figures of metrics in this order: {names}. Claims: share of companies with p < 0.05, which are false alarms "
        "where there is no effect, and power where there is one. By design: share refused by the design test. "
        f"Monte Carlo error of a share of 5 %: {100 * (0.05 * 0.95 / scores[0].runs) ** 0.5:.1f} points."
    )
    columns = (
        "company",
        "bias %",
        "coverage %",
        "claims %",
        "any after Holm %",
        "by design %",
        "grades %",
        "in bounds",
    )
    heads = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines = ["# The impact engine against companies whose truth is known", "", about, legend, "", *heads]
    for one in scores:
        grades = ", ".join(f"{grade} {100 * share:.0f}" for grade, share in one.grades.items())
        bias = " / ".join("-" if np.isnan(value) else f"{100 * value:+.1f}" for value in one.bias)
        figures = [" / ".join(f"{100 * value:.1f}" for value in values) for values in (one.coverage, one.claims)]
        faults = "; ".join(one.faults()) or "yes"
        cells = [
            one.scenario.name,
            bias,
            *figures,
            f"{100 * one.family_wise:.1f}",
            f"{100 * one.by_design:.1f}",
            grades,
            faults,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all scenarios, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=REPLICATIONS, help="below 200 no table is written")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    began = time.monotonic()
    scores = []
    with ProcessPoolExecutor(options.workers) as pool:
        for scenario in SCENARIOS:
            runs = list(pool.map(run, [scenario] * options.replications, range(options.replications), chunksize=4))
            scores.append(score(scenario, runs))
            print(f"{scenario.name}: {'; '.join(scores[-1].faults()) or 'in bounds'}", flush=True)
    text = table(scores, time.monotonic() - began)
    print(text)
    if options.replications >= REPLICATIONS:
        TABLE.write_text(text, "utf-8")
    sys.exit(any(any(one.faults()) for one in scores))


if __name__ == "__main__":
    main()
