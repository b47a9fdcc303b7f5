"""How small an effect could be seen, before and after."""

import scipy.stats


def detectable(se: float | None, df: float | None, *, level: float = 0.95, power: float = 0.8) -> float | None:
    """Give the effect that would be found with this power: (t(1 - a/2) + t(power)) x se."""
    if se is None or df is None or df < 1:
        return None
    return float((scipy.stats.t.ppf(0.5 + level / 2, df) + scipy.stats.t.ppf(power, df)) * se)
