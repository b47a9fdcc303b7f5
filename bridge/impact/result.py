"""What comes out: values that are only read, and their JSON, whose names `README.md` documents."""

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

from bridge.impact.attrition import Attrition
from bridge.impact.balance import Balance
from bridge.impact.contract import Metric
from bridge.impact.design_tests import DesignTests
from bridge.impact.event_study import EventStudy
from bridge.impact.imputation import Counts
from bridge.impact.jackknife import Interval
from bridge.impact.opinions import SecondOpinion
from bridge.impact.trend import Trend

ENGINE_VERSION = "3"
"""Stored with every result, and asked for with it: a new version estimates all programs anew.

It changes, to the next whole number, with every release in which the same data, contract and circumstances could give
another number, verdict, reason, sentence or name in the JSON. `test_engine_version.py` holds it to that by the hash of
what a fixed set of cases gives; a change that is faster, or only refuses what was an error, leaves it as it is.
"""


class Grade(StrEnum):
    STRONG = "strong"
    MODERATE = "moderate"
    WORSE = "worse"
    NO_EFFECT = "no effect seen"
    NOT_ENOUGH = "not enough evidence"


class Code(StrEnum):
    """Why the verdict is "not enough evidence"."""

    NO_ESTIMATE = "R0"
    """The data have nothing to estimate from, or a metric that never varies."""
    FEW_PEOPLE = "R1"
    FEW_TEAMS = "R2"
    NO_COMPARISON = "R3"
    NO_SUPPORT = "R4"
    DESIGN = "R5"
    DISAGREE = "R6"
    TOO_SMALL = "R7"
    UNEQUAL_LOSS = "R8"
    CHANGED_METRIC = "R9"
    OVERLAP = "R10"
    SMALL_CELL = "R11"
    INCONCLUSIVE = "inconclusive"
    """No rule forbids a verdict, but the interval holds both no effect and one as large as the target."""


@dataclasses.dataclass(frozen=True)
class Reason:
    code: Code
    text: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    grade: Grade
    reasons: tuple[Reason, ...]
    sentences: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return self.grade is Grade.NOT_ENOUGH

    @property
    def hides_figures(self) -> bool:
        """Whether so few people are behind the figures that none may be shown."""
        return self.has(Code.SMALL_CELL)

    def has(self, code: Code) -> bool:
        return any(reason.code is code for reason in self.reasons)


@dataclasses.dataclass(frozen=True)
class Hashes:
    """What makes a result checkable later."""

    engine: str = ENGINE_VERSION
    data: str = ""
    contract: str = ""


@dataclasses.dataclass(frozen=True)
class Durability:
    """Effect in the last four periods of the horizon over that in the first four; none if the first is not sure."""

    early: Interval
    late: Interval
    ratio: Interval


@dataclasses.dataclass(frozen=True)
class Result:
    """One metric: every number, and in `verdict` what may be said."""

    metric: Metric
    design: str
    att: Interval
    """Effect of training on who was trained, over the horizon."""
    att_interim: Interval
    att_all: Interval
    itt: Interval
    """Effect of having been sent, over the same time since the assignment."""
    itt_interim: Interval
    completion_rate: float | None
    """Share of those sent who were trained."""
    baseline: float | None
    """Mean of the trained before the window, on the scale of the estimate."""
    durability: Durability | None
    event_study: EventStudy
    trend: Trend
    tests: DesignTests | None
    opinions: tuple[SecondOpinion, ...]
    leave_one_out: tuple[float, float] | None
    """Smallest and largest estimate without one of the jackknife's groups."""
    detectable: float | None
    target: float | None
    """On the scale of the estimate."""
    attrition: Attrition | None
    balance: Balance | None
    """How alike the groups of an experiment were before."""
    counts: Counts | None
    published: Mapping[str, Any]
    """Estimates as in the literature, without a window: names in `README.md`."""
    p_holm: float | None
    verdict: Verdict
    hashes: Hashes

    def to_json(self) -> dict[str, Any]:
        content = as_json(self)
        if not isinstance(content, dict):
            raise TypeError("a result is an object")
        return content


def as_json(value: object) -> Any:  # noqa: ANN401 - whatever JSON has
    """Give plain values: fields by name, None for what is not a finite number."""
    match value:
        case Enum():
            return value.value
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
        case Mapping():
            return {str(key): as_json(one) for key, one in value.items()}
        case list() | tuple():
            return [as_json(one) for one in value]
        case float():
            return float(value) if math.isfinite(value) else None
        case bool() | int() | str() | None:
            return value
        case _ if hasattr(value, "tolist"):
            return as_json(value.tolist())
    raise TypeError(f"no JSON for {type(value).__name__}")
