"""A line of the table: a figure, the physical reference of the same run, the bar, and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import quantiles


@dataclass(frozen=True)
class Percentiles:
    """How long single requests took, in milliseconds."""

    p50: float
    p95: float
    p99: float

    def __str__(self) -> str:
        return " / ".join(_figure(one) for one in (self.p50, self.p95, self.p99))


class Of(StrEnum):
    """What a bar is put at."""

    MEASURED = "measured"
    RATIO = "ratio"


@dataclass(frozen=True)
class Bar:
    """A figure to be reached, or not to be passed when `most`."""

    value: float
    of: Of = Of.MEASURED
    most: bool = False

    def met_by(self, line: "Line") -> bool:
        """Tell whether a line keeps to it; a line that lacks the figure does not."""
        figure = line.measured if self.of is Of.MEASURED else line.ratio
        if figure is None:
            return False
        return figure <= self.value if self.most else figure >= self.value

    def __str__(self) -> str:
        return f"{'ratio ' if self.of is Of.RATIO else ''}{'<=' if self.most else '>='} {_figure(self.value)}"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing measured. Rates and seconds alike: the ratio is measured to reference."""

    what: str
    measured: float
    unit: str
    reference: float | None = None
    reference_is: str = ""
    bars: Sequence[Bar] = ()
    percentiles: Percentiles | None = None
    notes: Sequence[str] = ()

    @property
    def ratio(self) -> float | None:
        return self.measured / self.reference if self.reference else None

    @property
    def met(self) -> bool | None:
        """Whether every bar is met; None without a bar."""
        return all(bar.met_by(self) for bar in self.bars) if self.bars else None

    def noting(self, *notes: str) -> "Line":
        """Give the same line with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def cells(self) -> tuple[str, ...]:
        """Give the texts of a row, in the order of `HEADINGS`."""
        return (
            self.what,
            f"{_figure(self.measured)} {self.unit}",
            "" if self.reference is None else f"{_figure(self.reference)} {self.reference_is}",
            "" if self.ratio is None else _figure(self.ratio),
            ", ".join(map(str, self.bars)),
            {True: "yes", False: "NO", None: ""}[self.met],
            "" if self.percentiles is None else str(self.percentiles),
        )


HEADINGS = ("what", "measured", "reference", "ratio", "bar", "met", "ms: p50 / p95 / p99")


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Sum up how long requests took."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return Percentiles(*(1000 * cuts[percent - 1] for percent in (50, 95, 99)))


def _figure(value: float) -> str:
    """Write three digits that matter."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
