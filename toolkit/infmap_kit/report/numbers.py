"""Numbers with few decimals that stay on their side of every bound that they are compared with.

A probability of 0.995 is not 1.00, and one of 0.4996 does not reach a threshold of 0.50. ``numbers.js`` of the
viewer has the same rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

_MOST_DECIMALS = 12


def shown_probability(value: float, threshold: float, *, decimals: int = 2) -> str:
    """A probability in [0, 1] as text: "0.93", "< 0.50" just below a threshold of 0.5, "< 0.01", "> 0.99".

    Parameters
    ----------
    value
        The probability.
    threshold
        That from which something is detected. One with more decimals gives the probability as many.
    decimals
        Decimals, at least.
    """
    return _shown(value, (0.0, threshold, 1.0), decimals)


def shown_percent(value: float, cut_offs: Iterable[float] = (), *, decimals: int = 2) -> str:
    """A percentage in [0, 100] as text without its sign: "12.30", "< 0.01", "> 99.99", "> 50.00" just above 50.

    Parameters
    ----------
    value
        The percentage.
    cut_offs
        Percentages between which grades lie; one may belong to the grade below it or to that above.
    decimals
        Decimals, at least.
    """
    ends = tuple(cut_offs)
    return _shown(value, (0.0, *ends, 100.0), decimals, ends=ends)


def plain_number(value: float, bounds: Collection[float], *, decimals: int = 2) -> str:
    """A number without "<" or ">", with as many decimals as keep it on its side of each bound."""
    sides = [_side(value, bound) for bound in bounds]
    for places in range(decimals, _MOST_DECIMALS + 1):
        shown = f"{value:.{places}f}"
        if [_side(float(shown), bound) for bound in bounds] == sides:
            return shown
    return f"{value:.6g}"


def decimals_of(bound: float, *, least: int = 2) -> int:
    """Decimals that a bound has, up to six."""
    return next((places for places in range(least, 6) if round(bound, places) == bound), 6)


def _shown(
    value: float, bounds: tuple[float, ...], decimals: int, *, ends: tuple[float, ...] = ()
) -> str:
    """A number beside its bounds; of ``ends`` among them, the side above is another as well."""
    decimals = max(decimals_of(bound, least=decimals) for bound in bounds)
    shown, step = f"{value:.{decimals}f}", 10.0**-decimals
    low, *_, high = bounds
    if _side(value, low) > 0 == _side(float(shown), low):
        return f"< {low + step:.{decimals}f}"
    if _side(value, high) < 0 == _side(float(shown), high):
        return f"> {high - step:.{decimals}f}"
    # What rounding lifts to a bound seems to reach it; what is above one and shown at it does reach it.
    lifted = [bound for bound in bounds if _side(value, bound) < 0 <= _side(float(shown), bound)]
    if lifted:
        return f"< {lifted[0]:.{decimals}f}"
    lowered = [end for end in ends if _side(float(shown), end) <= 0 < _side(value, end)]
    return f"> {lowered[0]:.{decimals}f}" if lowered else shown


def _side(value: float, bound: float) -> int:
    """-1, 0 or 1 as a value is below, at or above a bound, both as single precision that models compute in."""
    return int(np.sign(np.float32(value) - np.float32(bound)))
