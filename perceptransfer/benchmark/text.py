"""Numbers as people read them: one place for the percent sign, the interval and the reason of a missing value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHARES = frozenset({"accuracy", "balanced_accuracy", "mean_iou", "pck", "delta1"})
"""Metrics in 0..1, which are shown in percent; ``pck@0.1`` is ``pck`` at a threshold."""

Number = Mapping[str, Any]
"""A number of the summary: ``value`` (or ``None`` with ``reason``), ``low`` and ``high`` where there is an interval."""


def is_share(metric: str) -> bool:
    """Whether the metric lies in 0..1."""
    return metric.partition("@")[0] in SHARES


def number(value: float, metric: str, *, digits: int = 1, unit: bool = False, sign: bool = False) -> str:
    """A score, or a difference of scores, of the given metric; percent for metrics in 0..1."""
    if is_share(metric):
        return fixed(100 * value, digits, sign=sign) + ("\u00a0%" if unit else "")
    plus = "+" if sign and value else ""
    return f"{value:{plus}.{digits + 2}g}".replace("-", "\u2212")


def fixed(value: float, digits: int, *, sign: bool = False) -> str:
    """Fixed number of digits with a true minus sign, and zero without any sign."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f}".replace("-", "\u2212")


def share(fraction: float) -> str:
    """A fraction in percent, ``0.01`` as ``1 %``."""
    return f"{100 * fraction:g}\u00a0%"


def interval(item: Number, metric: str, *, digits: int = 1, sign: bool = False) -> str:
    """``[low, high]``, empty when there is none or when nothing varies (an arm against itself)."""
    if item.get("low") is None or item["low"] == item["high"]:
        return ""
    return "[" + ", ".join(number(item[end], metric, digits=digits, sign=sign) for end in ("low", "high")) + "]"


def ratio(item: Number | None, *, digits: int = 3, suffix: str = "") -> str:
    """A plain number with its interval, censored ones as ``> 12.3`` or ``≤ 12.3``; a dash when there is no value."""
    if item is None:
        return "\u2013"
    if item["value"] is None:
        bounds = [f"> {fixed(item['above'], digits)}{suffix}"] if item.get("above") else []
        bounds += [f"\u2264 {fixed(item['at_most'], digits)}{suffix}"] if item.get("at_most") is not None else []
        return " and ".join(bounds) or "\u2013"
    value = fixed(item["value"], digits) + suffix
    # Bounds over the few draws in which a number exists would look surer than it is.
    if item.get("low") is None or item["low"] == item["high"] or item.get("defined", 1.0) < 0.9:
        return value
    return f"{value} [{fixed(item['low'], digits)}, {fixed(item['high'], digits)}]"


def p_value(test: Mapping[str, Any]) -> str:
    """Holm-corrected p value, or that the number of seeds forbids one."""
    if test["p_holm"] is None:
        return "not testable"
    return f"p = {test['p_holm']:.3f}" if test["p_holm"] >= 0.001 else "p < 0.001"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
