"""Figures of few people are not shown, nor what they could be worked out from.

A figure that was left out can be had from the total and the others, so it is never left out alone (complementary
suppression). No effect of a single person is ever given, whatever the contract says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bridge.impact.contract import Contract
from bridge.impact.event_study import Bin, EventStudy
from bridge.impact.jackknife import UNKNOWN
from bridge.impact.result import Result
from bridge.impact.trend import Trend


def hidden(sizes: Sequence[int], least: int) -> list[bool]:
    """Tell which parts of a total are not to be shown: the small ones, and with them as many of the next larger.

    Those that are hidden are together at least `least` people, so at least two parts; empty parts are no secret.
    """
    cut = [0 < size < least for size in sizes]
    if not any(cut):
        return cut
    rest = sorted((size, place) for place, size in enumerate(sizes) if size >= least)
    while rest and sum(size for size, gone in zip(sizes, cut, strict=True) if gone) < least:
        cut[rest.pop(0)[1]] = True
    return cut


def of_bins(study: EventStudy, contract: Contract) -> EventStudy:
    """Hide bins of few people: those after training add up to the effect, so they are hidden together."""
    after = [place for place, one in enumerate(study.bins) if one.start >= 0]
    cut = {place for place, one in enumerate(study.bins) if one.start < 0 and (one.people or 0) < contract.effect_cell}
    sizes = [study.bins[place].people or 0 for place in after]
    cut |= {place for place, gone in zip(after, hidden(sizes, contract.effect_cell), strict=True) if gone}
    return replace(study, bins=tuple(_without(one) if place in cut else one for place, one in enumerate(study.bins)))


def of_trend(trend: Trend, contract: Contract) -> Trend:
    """Hide periods of few people, and waves of few."""
    cut = hidden([point.people or 0 for point in trend.points], contract.effect_cell)
    points = tuple(
        replace(point, observed=None, predicted=None, people=None) if gone else point
        for point, gone in zip(trend.points, cut, strict=True)
    )
    few = hidden([wave.people or 0 for wave in trend.waves], contract.cell)
    waves = tuple(replace(wave, people=None) if gone else wave for wave, gone in zip(trend.waves, few, strict=True))
    return Trend(points, waves)


def of_parts(result: Result, study: EventStudy, contract: Contract, *, horizon: int) -> Result:
    """Put a result's event study in, bins of few people hidden, and hide what would tell of those bins.

    The interim effect, the effects that durability compares and published effects by time since training are of the
    same people as the bins of these periods.
    """
    shown = of_bins(study, contract)
    pairs = zip(study.bins, shown.bins, strict=True)
    gone = [old.start for old, new in pairs if old.start >= 0 and old != new]
    if not gone:
        return replace(result, event_study=shown)
    if min(gone) < contract.interim:
        result = replace(result, att_interim=UNKNOWN, itt_interim=UNKNOWN)
    if min(gone) < horizon:
        result = replace(result, durability=None)
    imputation = result.published.get("imputation")
    if isinstance(imputation, Mapping):
        event = {start: found for start, found in imputation["event"].items() if int(start) not in gone}
        result = replace(result, published={"imputation": {**imputation, "event": event}})
    return replace(result, event_study=shown)


def of_result(result: Result) -> Result:
    """Take all figures out of a result of too few people: what stays is the verdict and what was agreed."""
    return replace(
        result,
        att=UNKNOWN,
        att_interim=UNKNOWN,
        att_all=UNKNOWN,
        itt=UNKNOWN,
        itt_interim=UNKNOWN,
        completion_rate=None,
        baseline=None,
        durability=None,
        event_study=EventStudy((), None),
        trend=Trend(),
        tests=None,
        opinions=(),
        leave_one_out=None,
        detectable=None,
        attrition=None,
        balance=None,
        counts=None,
        published={},
        p_holm=None,
    )


def _without(one: Bin) -> Bin:
    return replace(one, interval=UNKNOWN, band_low=None, band_high=None, people=None)
