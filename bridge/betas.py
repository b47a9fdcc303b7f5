"""The Beta distribution in plain Python: what the web process needs of it, and it has no scipy.

The continued fraction is the one of Abramowitz and Stegun 26.5.8, worked out by Lentz's method; a test compares it with
scipy.
"""

import math

_TINY = 1e-300
_STEPS = 10_000
_EXACT = 1e-15


def below(x: float, a: float, b: float) -> float:
    """Give the chance that a Beta(a, b) is at most `x`; `a` and `b` are above 0."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # The fraction converges fast on this side of the mean, and by symmetry the other side is one minus it.
    if x < (a + 1) / (a + b + 2):
        return math.exp(log_front) * _fraction(x, a, b) / a
    return 1 - math.exp(log_front) * _fraction(1 - x, b, a) / b


def quantile(share: float, a: float, b: float) -> float:
    """Give the value that a Beta(a, b) is below with this chance, to 1e-12; `share` is above 0 and below 1."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if below(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def band(mean: float, variance: float, share: float = 0.8) -> tuple[float, float]:
    """Give the middle `share` of the Beta with this mean and variance; the mean twice where there is no variance."""
    room = mean * (1 - mean)
    if variance <= 0 or room <= 0:
        return mean, mean
    size = room / variance - 1
    if size <= 0:  # wider than any Beta: all of it lies at the ends
        return 0.0, 1.0
    a, b = mean * size, (1 - mean) * size
    return quantile((1 - share) / 2, a, b), quantile((1 + share) / 2, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, _inverse(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = _inverse(1 + step * d)
            c = _away_from_zero(1 + step / c)
            found *= c * d
        if abs(c * d - 1) < _EXACT:
            break
    return found


def _inverse(x: float) -> float:
    return 1 / _away_from_zero(x)


def _away_from_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
