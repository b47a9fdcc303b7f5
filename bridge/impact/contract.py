"""What was agreed before the programme began: the question that the data are asked, and by which rules.

Nothing here is chosen after a look at the data; the contract's hash is stored with every result.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.impact.errors import ContractError


class Direction(StrEnum):
    """Which way is better."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def sign(self) -> int:
        return 1 if self is Direction.HIGHER else -1


class Family(StrEnum):
    """What kind of number a metric is; `families` says what becomes of each."""

    LINEAR = "linear"
    RATE = "rate"
    LOG = "log"
    RATING = "rating"
    COUNT = "count"
    RATIO = "ratio"


class Control(StrEnum):
    """With whom Callaway and Sant'Anna's estimator compares."""

    NEVER = "never"
    NOT_YET = "not-yet"


@dataclass(frozen=True)
class Metric:
    """A performance measure, and what was promised of it.

    `target` is the smallest change that would be worth the programme, in the direction that is better and without sign:
    in the metric's unit, for a rate in its share (0.03 is 3 percentage points), for `log` as a share of the level (0.05
    is 5 %).
    """

    name: str
    direction: Direction = Direction.HIGHER
    target: float | None = None
    family: Family = Family.LINEAR
    title: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "direction", Direction(self.direction))
            object.__setattr__(self, "family", Family(self.family))
        except ValueError as error:
            raise ContractError(str(error)) from error

    @property
    def words(self) -> str:
        return self.title or self.name

    @property
    def within(self) -> str:
        """Give its words as they stand within a sentence; abbreviations and names from a file stay as they are."""
        return self.title[0].lower() + self.title[1:] if self.title[1:2].islower() else self.words


@dataclass(frozen=True)
class Contract:
    """The rules of the estimate, in periods of the panel (weeks, unless it is one of years or months)."""

    metrics: Sequence[Metric] = (Metric("outcome"),)
    """All metrics of the programme: the family over which Holm corrects and the design test looks."""
    primary: str = ""
    """The metric that decides; the first, if empty."""
    horizon: int | None = 12
    """Periods after training that the effect is averaged over; None: all that there are."""
    interim: int = 4
    exclude_before: int = 6
    """Length of the nomination window: periods before training that a person's own level is not taken from."""
    min_pre: int = 8
    """Clean periods that a trained person needs to have a level of their own."""
    min_post: int = 4
    """Periods after training that a person needs to be counted for R1."""
    support: int = 5
    """Untrained people that a role and period need, to say how it would have been without training."""
    bin: int = 4
    """Periods in one bin of the event study."""
    placebo_shift: int = 12
    randomised: bool = False
    """Whether it was left to chance who was trained first."""
    control: Control = Control.NOT_YET
    period_word: str = "week"
    level: float = 0.95
    min_people: int = 20
    """Trained, and comparison, people below whom nothing is claimed (R1)."""
    min_teams: int = 6
    max_groups: int = 50
    """Groups of the jackknife; more teams than that are dealt into so many."""
    cell: int = 5
    """People below whom no figure of a group is shown."""
    effect_cell: int = 10
    """People below whom no effect is shown."""
    names: dict[str, Metric] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {metric.name: metric for metric in self.metrics}
        if not named:
            raise ContractError("a contract needs at least one metric")
        if len(named) < len(self.metrics):
            raise ContractError("two metrics of the contract have the same name")
        if self.primary and self.primary not in named:
            raise ContractError(f"the primary metric {self.primary!r} is none of {', '.join(named)}")
        object.__setattr__(self, "names", named)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ContractError(f"{name} is {value}, and must be {least} or more")
        if not 0.5 <= self.level < 1:
            raise ContractError(f"level is {self.level}, and must lie from 0.5 to below 1")
        if self.horizon is not None and self.interim > self.horizon:
            raise ContractError(f"interim is {self.interim}, which is after the horizon of {self.horizon}")
        for metric in self.metrics:
            if metric.target is not None and not 0 < metric.target < float("inf"):
                raise ContractError(f"target of {metric.name} is {metric.target}, and must be a number above 0")

    @property
    def primary_metric(self) -> Metric:
        return self.names[self.primary or self.metrics[0].name]


_LEAST = {
    "horizon": 1,
    "interim": 1,
    "exclude_before": 0,
    "min_pre": 1,
    "min_post": 1,
    "support": 1,
    "bin": 1,
    "placebo_shift": 1,
    "min_people": 2,
    "min_teams": 2,
    "max_groups": 2,
    "cell": 1,
    "effect_cell": 1,
}
