"""Several metrics are several chances of a false alarm; these p-values count them."""

from collections.abc import Mapping

import numpy as np


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust so that the chance of any false alarm in the family stays at the level (Holm 1979).

    A metric without a p-value counts as one of the family all the same: it was meant to be looked at.
    """
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    largest = 0.0
    for place, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(p_values) - place) * p))
        adjusted[name] = largest
    return adjusted


def benjamini_hochberg(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjust so that among findings the expected share of false ones stays at the level; for explored segments only."""
    known = sorted((p, name) for name, p in p_values.items() if p is not None)
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    smallest = np.inf
    for place in range(len(known), 0, -1):
        p, name = known[place - 1]
        smallest = min(smallest, 1.0, p * len(known) / place)
        adjusted[name] = float(smallest)
    return adjusted
