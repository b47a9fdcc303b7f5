"""Bars as SVG, drawn on the server as `bridge.charts` draws: means before and since, people by state.

Narrow enough for a phone; each bar has its figures as text beside it, and its fill is a pattern, not a colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH, ROW, BAR = 340, 44, 18


def before_and_since(measure: Mapping[str, Any]) -> Markup:
    """Draw the means of a metric before and since completion; nothing where there is neither."""
    means = [(word, measure[f"{key}_mean"], measure[f"{key}_count"]) for word, key in _WINDOWS]
    most = max((abs(mean) for _, mean, _ in means if mean is not None), default=0) or 1
    if all(mean is None for _, mean, _ in means):
        return Markup("")
    parts, said = [], []
    for place, (word, mean, count) in enumerate(means):
        words = f"{word}: {_figure(mean, measure['unit'])}, {_cases(count)}"
        said.append(words)
        width = 0 if mean is None else WIDTH * abs(mean) / most
        parts += [_text(place, words), _bar(place, 0, width, "before" if place == 0 else "since")]
    return _picture(parts, len(means), f"{measure['metric_title']}. {'; '.join(said)}.")


def states(counts: Mapping[str, int], title: str) -> Markup:
    """Draw how many people are in each state, as one bar of parts; nothing where there is nobody."""
    everybody = sum(counts.values())
    if not everybody:
        return Markup("")
    words = ", ".join(f"{number} {state}" for state, number in counts.items())
    parts, left = [_text(0, words)], 0.0
    for place, number in enumerate(counts.values()):
        width = WIDTH * number / everybody
        parts.append(_bar(0, left, width, _FILLS[place]))
        left += width
    return _picture(parts, 1, f"{title}: {words}.")


_WINDOWS = (("Before", "before"), ("Since", "since"))
_FILLS = ("since", "hatched", "before")


def _figure(mean: float | None, unit: str | None) -> str:
    return "nothing to average" if mean is None else f"{mean:,.2f}{f' {unit}' if unit else ''}"


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _text(place: int, words: str) -> str:
    return f'<text x="0" y="{place * ROW + 15}" class="label left">{escape(words)}</text>'


def _bar(place: int, left: float, width: float, fill: str) -> str:
    y = place * ROW + 21
    return f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" class="{fill}"/>'


def _picture(parts: Sequence[str], rows: int, about: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and escaped texts alone
        f'<svg class="chart bars" viewBox="-1 0 {WIDTH + 2} {rows * ROW}" role="img" aria-label="{escape(about)}" '
        f'focusable="false">{"".join(parts)}</svg>'
    )
