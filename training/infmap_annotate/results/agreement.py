"""The agreement of readers: kappas and intervals over plain lists."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def cohen_kappa(a: Sequence[str], b: Sequence[str]) -> float:
    """Cohen's kappa of two readers over the same radiographs; NaN where chance alone agrees fully.

    Parameters
    ----------
    a, b
        Choices of each reader, radiograph by radiograph.
    """
    if not a or len({*a, *b}) == 1:
        return math.nan
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(a, b))


def fleiss_kappa(choices: Sequence[Sequence[str]]) -> float:
    """Fleiss' kappa; NaN where there is nothing to compare, or chance alone agrees fully.

    Parameters
    ----------
    choices
        For each radiograph what each reader chose, of as many readers each.

    Notes
    -----
    Source: Fleiss, Measuring nominal scale agreement among many raters, 1971.
    """
    if not choices or len(choices[0]) < 2:
        return math.nan
    readers = len(choices[0])
    counts = [Counter(chosen) for chosen in choices]
    agreeing = sum(n * (n - 1) for count in counts for n in count.values())
    observed = agreeing / (len(counts) * readers * (readers - 1))
    total = sum(counts, Counter[str]())
    by_chance = sum((n / (len(counts) * readers)) ** 2 for n in total.values())
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan


def share_with_interval(part: int, total: int) -> tuple[float, float, float]:
    """A share and its 95 % interval by Wilson's score, which stays within 0 and 1; NaN of nothing."""
    if not total:
        return math.nan, math.nan, math.nan
    from scipy.stats import binomtest

    interval = binomtest(part, total).proportion_ci(0.95, method="wilson")
    return part / total, float(interval.low), float(interval.high)
