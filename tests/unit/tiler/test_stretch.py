"""Ranges of `rescale=auto`."""

import numpy as np
import pytest

from livemosaic.tiler.whole.stretch import rounded


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((23, 228), (20, 230)),
        ((1013, 2987), (1000, 3000)),
        ((-0.213, 0.791), (-0.25, 0.8)),
        ((0, 1), (0, 1)),
        ((7, 7), (7, 7.2)),
        ((0, 0), (0, 0.05)),
        ((1e-7, 3e-7), (1e-7, 3e-7)),
        ((-12000, -8), (-12000, 0)),
    ],
)
def test_ranges_end_at_round_numbers(
    ends: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert rounded(*ends) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((-1e308, 1e308), (-1e300, 1e300)),
        ((1.79e308, 1.79e308), (1e300, 1.05e300)),
        ((0, 5e-324), (0, 0.05)),
        ((-2e-310, 1e-310), (0, 0.05)),
    ],
)
def test_ranges_of_extreme_floats_are_finite(
    ends: tuple[float, float], expected: tuple[float, float]
) -> None:
    assert rounded(*ends) == pytest.approx(expected, rel=1e-9)


def test_ranges_hold_the_values_and_few_of_them_differ() -> None:
    """A drift of a thousandth of a range changes it in one of ten cases at most."""
    rng = np.random.default_rng(3)
    changed = 0
    for _ in range(1000):
        span = 10.0 ** rng.uniform(-3, 5)
        low = rng.uniform(-3, 3) * span
        high = low + span
        first, last = rounded(low, high)
        assert first <= low + 1e-6 * (high - low)
        assert last >= high - 1e-6 * (high - low)
        assert last - first <= 1.11 * (high - low)
        drift = (high - low) / 1000
        changed += rounded(low + drift, high + drift) != (first, last)
    assert changed < 100
