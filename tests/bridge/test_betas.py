"""The Beta distribution against scipy, and suppression against the one of the impact engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from bridge import betas, suppression
from bridge.impact import suppression as of_effects

SHAPES = st.floats(0.05, 5_000)


@given(x=st.floats(0, 1), a=SHAPES, b=SHAPES)
def test_the_chance_is_scipy_s(x: float, a: float, b: float) -> None:
    assert betas.below(x, a, b) == pytest.approx(beta.cdf(x, a, b), abs=1e-9)


@given(share=st.floats(0.01, 0.99), a=st.floats(0.5, 2_000), b=st.floats(0.5, 2_000))
def test_the_quantile_is_scipy_s(share: float, a: float, b: float) -> None:
    assert betas.quantile(share, a, b) == pytest.approx(beta.ppf(share, a, b), abs=1e-8)


def test_a_band_has_the_mean_and_variance_that_were_asked_for() -> None:
    a, b = 7.0, 3.0
    low, high = betas.band(0.7, 0.7 * 0.3 / 11)
    assert (low, high) == pytest.approx(beta.interval(0.8, a, b), abs=1e-9)
    assert betas.band(0.7, 0) == (0.7, 0.7)
    assert betas.band(1.0, 0.1) == (1.0, 1.0)
    assert betas.band(0.5, 0.3) == (0.0, 1.0)


@given(sizes=st.lists(st.integers(0, 12), max_size=8), least=st.integers(1, 10))
def test_what_is_hidden_is_what_the_engine_hides(sizes: list[int], least: int) -> None:
    assert suppression.hidden(sizes, least) == of_effects.hidden(sizes, least)


@given(sizes=st.lists(st.integers(0, 12), max_size=8))
def test_what_is_hidden_cannot_be_worked_out_from_the_total(sizes: list[int]) -> None:
    cut = suppression.hidden(sizes)
    gone = [size for size, is_gone in zip(sizes, cut, strict=True) if is_gone]
    assert all(size == 0 or size >= suppression.LEAST for size, is_gone in zip(sizes, cut, strict=True) if not is_gone)
    if gone and sum(sizes) > sum(gone):
        assert len(gone) >= 2
        assert sum(gone) >= suppression.LEAST
