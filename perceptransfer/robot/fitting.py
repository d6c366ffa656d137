"""Least squares on a simulator's parameters, and how far episodes let one trust the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import t

from perceptransfer.robot.arrays import Floats

Residuals = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters in units of their allowed range, ``[p]``, 0 to 1, with residuals ``[n]`` and their slopes ``[n, p]``.

    ``cost`` is half the sum of squares, after the robust loss if there is one; both arrays are weighted by it.
    """

    values: Floats
    residuals: Floats
    slopes: Floats
    cost: float

    def spread(self, groups: int, *, floor: float = 0.0, level: float = 0.95) -> Floats:
        """Half widths of the intervals of `values`, ``[p]``, in the same units; infinite where nothing is learned.

        The sandwich estimate with groups as clusters: residuals belong to ``groups`` equal blocks in order (episodes,
        segments), blocks are independent, within a block anything goes. It is what a bootstrap over blocks of the
        linearised problem converges to; Student's t with ``groups − 1`` degrees makes up for few blocks. Independent
        errors of ``floor`` come on top, so that a perfect fit does not claim to be exact.

        Papers: Ljung, System Identification, 2nd ed. 1999, chapter 9 (covariance of estimates); Liang & Zeger,
        Longitudinal data analysis using generalized linear models, Biometrika 1986 (clusters).
        """
        count = len(self.values)
        curvature = self.slopes.T @ self.slopes
        scale = np.sqrt(np.diag(curvature))
        seen = scale > 1e-6 * max(float(scale.max()), 1e-12)
        inner = curvature[np.ix_(seen, seen)]
        inverse = np.linalg.inv(inner + 1e-9 * np.diag(np.diag(inner)))
        blocks = self.slopes[:, seen].reshape(groups, -1, int(seen.sum()))
        scores = np.einsum("gnp,gn->gp", blocks, self.residuals.reshape(groups, -1))
        scores -= scores.mean(axis=0)
        middle = scores.T @ scores * groups / (groups - 1) + floor**2 * inner
        half = np.full(count, np.inf)
        half[seen] = t.ppf((1 + level) / 2, groups - 1) * np.sqrt(np.diag(inverse @ middle @ inverse))
        return half


def fit(
    residuals: Residuals,
    start: Floats,
    *,
    step: float = 0.01,
    prior: tuple[Floats, Floats] | None = None,
    robust: bool = False,
    evaluations: int = 25,
) -> Fit:
    """Minimise the squares of ``residuals`` within 0 to 1, slopes by differences over ``step``.

    ``prior`` (mean and standard deviation of each value) decides where the data say nothing. With ``robust`` residuals
    count by `soft_l1`: what no parameter explains pulls with bounded force.
    """
    count = 0 if prior is None else len(start)

    def all_of(values: Floats) -> Floats:
        found = residuals(values)
        return found if prior is None else np.concatenate([found, (values - prior[0]) / prior[1]])

    def slopes(values: Floats) -> Floats:
        here, columns = all_of(values), []
        for i in range(len(values)):
            moved = values.copy()
            moved[i] += step if values[i] + step <= 1 else -step
            columns.append((all_of(moved) - here) / (moved[i] - values[i]))
        return np.stack(columns, axis=1)

    found = least_squares(
        all_of, np.clip(start, 0.02, 0.98), slopes, bounds=(0, 1), method="dogbox", max_nfev=evaluations,
        loss="soft_l1" if robust else "linear",
    )  # fmt: skip
    n = len(found.fun) - count
    # The derivative of soft_l1 is the weight that a residual has at the optimum.
    weight = (1 + found.fun[:n] ** 2) ** -0.25 if robust else np.ones(n)
    # scipy scales its own Jacobian by the robust loss, so it is taken afresh.
    return Fit(found.x, found.fun[:n] * weight, slopes(found.x)[:n] * weight[:, None], float(found.cost))
