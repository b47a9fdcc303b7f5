"""Charts as SVG, drawn on the server: they print, need no script, and say in words what they show.

Colours carry nothing alone: shapes, line styles and labels do. A table with the same figures stands beside each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 64


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values lie in the picture."""

    low: float
    high: float
    places: int

    def x(self, place: float) -> float:
        """Give the middle of a place, from 0."""
        step = (WIDTH - LEFT - RIGHT) / self.places
        return LEFT + step * (place + 0.5)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def event_study(bins: Sequence[Mapping[str, Any]], *, scale: Callable[[float], float], unit: str, about: str) -> Markup:
    """Draw the effect by weeks since training: points with intervals, the band for all of them, the line of no effect.

    The weeks before training that do not count are hatched.
    `bins` are those of a result's event study; empty ones are left out. `scale` gives a figure as people read it.
    """
    shown = [one for one in bins if one["interval"]["estimate"] is not None and one["interval"]["low"] is not None]
    if not shown:
        return Markup("")
    figures = [
        scale(value)
        for one in shown
        for value in (one["interval"]["low"], one["interval"]["high"], one["band_low"], one["band_high"])
        if value is not None
    ]
    frame = _frame(figures, len(shown))
    parts = [
        *_grid(frame, unit),
        *_windows(frame, shown),
        *_band(frame, shown, scale),
        _zero(frame),
        *_start(frame, shown),
    ]
    for place, one in enumerate(shown):
        parts += _point(frame, place, one, scale)
    return _picture(parts, about)


def trend(
    found: Mapping[str, Any], *, scale: Callable[[float], float], unit: str, about: str, name: Callable[[int], str]
) -> Markup:
    """Draw the trained as they did, and as they were predicted to do without training, by period; waves are marked.

    `found` is a result's trend; `scale` gives a figure as people read it, `name` what a period is called. Hidden
    periods leave a gap.
    """
    points = found["points"]
    lines = {
        key: [(place, scale(one[key])) for place, one in enumerate(points) if one[key] is not None]
        for key in ("predicted", "observed")
    }
    figures = [value for line in lines.values() for _, value in line]
    if not figures:
        return Markup("")
    margin = (max(figures) - min(figures)) * 0.1 or abs(figures[0]) * 0.1 or 1.0
    frame = _Frame(min(figures) - margin, max(figures) + margin, len(points))
    parts = [*_scales(frame, unit), *_dates(frame, points, name), *_waves(frame, found)]
    for key, line in lines.items():
        parts += _line(frame, key, line)
    return _picture(parts, about)


def span(one: Mapping[str, Any]) -> str:
    """Say which weeks a bin covers, counted as people do: the first week after training is week 1."""
    first, last = (one[key] + 1 if one[key] >= 0 else one[key] for key in ("start", "end"))
    return f"{first}" if first == last else f"{first} to {last}"


def _frame(figures: Sequence[float], places: int) -> _Frame:
    low, high = min(0.0, *figures), max(0.0, *figures)
    margin = (high - low) * 0.06 or 1.0
    return _Frame(low - margin, high + margin, places)


def _picture(parts: Sequence[str], about: str) -> Markup:
    inside = "".join(parts)
    return Markup(  # noqa: S704 - numbers and escaped texts alone
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about)}" focusable="false">'
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<line x1="0" y1="0" x2="0" y2="6" class="hatch"/></pattern></defs>{inside}</svg>'
    )


def _grid(frame: _Frame, unit: str) -> list[str]:
    foot = (LEFT + WIDTH - RIGHT) / 2
    lines = _scales(frame, f"Change, {unit}", _signed)
    return [*lines, f'<text x="{foot:.0f}" y="{HEIGHT - 6}" class="label">Weeks since training</text>']


def _scales(frame: _Frame, title: str, write: Callable[[float], str] = "{:g}".format) -> list[str]:
    parts = []
    for value in ticks(frame.low, frame.high):
        y = frame.y(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="tick right">{write(value)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return [*parts, f'<text transform="translate(14 {middle:.0f}) rotate(-90)" class="label">{escape(title)}</text>']


MOST_DATES = 8


def _dates(frame: _Frame, points: Sequence[Mapping[str, Any]], name: Callable[[int], str]) -> list[str]:
    every = -(-len(points) // MOST_DATES)
    y = HEIGHT - BOTTOM + 18
    return [
        f'<text x="{frame.x(place):.1f}" y="{y}" class="tick middle">{escape(name(one["period"]))}</text>'
        for place, one in enumerate(points)
        if place % every == 0
    ]


def _waves(frame: _Frame, found: Mapping[str, Any]) -> list[str]:
    """Mark before which period how many were trained; numbers in rows, so that near waves do not cover each other."""
    places = {one["period"]: place for place, one in enumerate(found["points"])}
    parts = []
    for number, wave in enumerate(wave for wave in found["waves"] if wave["period"] in places):
        x = frame.x(places[wave["period"]] - 0.5)
        told = "few" if wave["people"] is None else wave["people"]
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="start"/>')
        parts.append(f'<text x="{x + 3:.1f}" y="{TOP + 12 + 14 * (number % 3)}" class="tick">{told} trained</text>')
    return parts


def _line(frame: _Frame, key: str, line: Sequence[tuple[int, float]]) -> list[str]:
    """Draw a line through places that follow each other, and a mark in each place: a gap stays one."""
    runs: list[list[str]] = []
    last = None
    for place, value in line:
        if last is None or place > last + 1:
            runs.append([])
        runs[-1].append(f"{frame.x(place):.1f},{frame.y(value):.1f}")
        last = place
    marks = [_mark(frame, key, place, value) for place, value in line]
    return [*(f'<polyline points="{" ".join(run)}" class="{key}"/>' for run in runs), *marks]


def _mark(frame: _Frame, key: str, place: int, value: float) -> str:
    x, y = frame.x(place), frame.y(value)
    if key == "observed":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="since"/>'
    return f'<rect x="{x - 2.5:.1f}" y="{y - 2.5:.1f}" width="5" height="5" class="before"/>'


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def ticks(low: float, high: float) -> list[float]:
    """Give four to eight round values between two."""
    exact = (high - low) / 6
    power = 10.0 ** _floor_log10(exact)
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= exact)
    first = -int(-low // step)
    return [round(step * count, 10) for count in range(first, int(high // step) + 1)]


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])


def _windows(frame: _Frame, bins: Sequence[Mapping[str, Any]]) -> list[str]:
    half = (frame.x(1) - frame.x(0)) / 2
    return [
        f'<rect x="{frame.x(place) - half:.1f}" y="{TOP}" width="{2 * half:.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        'class="window"/>'
        for place, one in enumerate(bins)
        if one["in_window"]
    ]


def _band(frame: _Frame, bins: Sequence[Mapping[str, Any]], scale: Callable[[float], float]) -> list[str]:
    known = [(place, one) for place, one in enumerate(bins) if one["band_low"] is not None]
    if not known:
        return []
    upper = [f"{frame.x(place):.1f},{frame.y(scale(one['band_high'])):.1f}" for place, one in known]
    lower = [f"{frame.x(place):.1f},{frame.y(scale(one['band_low'])):.1f}" for place, one in reversed(known)]
    return [f'<polygon points="{" ".join([*upper, *lower])}" class="band"/>']


def _zero(frame: _Frame) -> str:
    y = frame.y(0)
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="zero"/>'


def _start(frame: _Frame, bins: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mark the training, between the last bin before it and the first one since."""
    before = sum(one["end"] < 0 for one in bins)
    if not 0 < before < len(bins):
        return []
    x = (frame.x(before - 1) + frame.x(before)) / 2
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="start"/>',
        f'<text x="{x + 4:.1f}" y="{TOP + 12}" class="tick">training</text>',
    ]


def _point(frame: _Frame, place: int, one: Mapping[str, Any], scale: Callable[[float], float]) -> list[str]:
    x, interval = frame.x(place), one["interval"]
    middle, ends = frame.y(scale(interval["estimate"])), [frame.y(scale(interval[key])) for key in ("low", "high")]
    shape = (
        f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="5" class="since"/>'
        if one["end"] >= 0
        else f'<rect x="{x - 4.5:.1f}" y="{middle - 4.5:.1f}" width="9" height="9" class="before"/>'
    )
    caps = "".join(
        f'<line x1="{x - 6:.1f}" x2="{x + 6:.1f}" y1="{end:.1f}" y2="{end:.1f}" class="whisker"/>' for end in ends
    )
    return [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" class="whisker"/>{caps}{shape}',
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" class="tick middle">{span(one)}</text>',
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 34}" class="tick middle">n = {one["people"]}</text>',
    ]
