"""Figures of few people are not shown, nor what they could be worked out from; without numpy, for the web process.

`bridge.impact.suppression` holds the same rule for effects; a test holds both to each other.
"""

from collections.abc import Mapping, Sequence

LEAST = 5
"""People in a cell that is shown (reference/impact.md, section 3)."""


def hidden(sizes: Sequence[int], least: int = LEAST) -> list[bool]:
    """Tell which parts of a total are not to be shown: the small ones, and with them as many of the next larger.

    Those that are hidden are at least two, and together at least `least` people; empty parts are no secret.
    """
    cut = [0 < size < least for size in sizes]
    if not any(cut):
        return cut
    rest = sorted((size, place) for place, size in enumerate(sizes) if size >= least)
    while rest and (sum(cut) < 2 or sum(size for size, gone in zip(sizes, cut, strict=True) if gone) < least):
        cut[rest.pop(0)[1]] = True
    return cut


def of_people(counts: Mapping[str, int], least: int = LEAST) -> dict[str, int | None]:
    """Hide counts of few people, None, of whom each is told for itself; nobody is no secret."""
    return {name: None if 0 < count < least else count for name, count in counts.items()}
