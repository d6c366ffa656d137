"""Rules that turn trials on the robot into the next weights."""

from __future__ import annotations

import abc
from collections.abc import Callable

import numpy as np

from perceptransfer.core.config import Configurable
from perceptransfer.core.errors import ConfigError
from perceptransfer.policy.gates.evidence import Floats

Score = Callable[[Floats], float]


class UpdateRule(Configurable, abc.ABC):
    """Proposes new tunable weights; it sees scores and nothing else, and its trials run behind the gate."""

    @abc.abstractmethod
    def propose(self, weights: Floats, score: Score, rng: np.random.Generator, update: int) -> Floats:
        """The next weights. ``score`` tries a vector on the robot, larger is better; ``update`` counts from 0."""


class CrossEntropy(UpdateRule):
    """Mean of the best of a Gaussian cloud around the present weights, the present ones being among the candidates.

    ``spread`` is the cloud's standard deviation in units of the weights, times ``decay`` per update. Candidates come
    in pairs ±, which cancels the sampling noise of the mean.

    Paper: de Boer et al., A Tutorial on the Cross-Entropy Method, 2005.
    """

    def __init__(self, pairs: int = 4, elites: int = 3, spread: float = 0.5, decay: float = 0.7) -> None:
        if not 0 < elites <= 2 * pairs or not spread > 0 or not 0 < decay <= 1:
            raise ConfigError(
                f"pairs {pairs}, elites {elites}, spread {spread}, decay {decay} do not fit",
                key="rule",
                remedy="keep 1 <= elites <= 2 * pairs, spread > 0 and decay in (0, 1]",
            )
        self.pairs, self.elites, self.spread, self.decay = pairs, elites, spread, decay

    def propose(self, weights: Floats, score: Score, rng: np.random.Generator, update: int) -> Floats:
        steps = rng.normal(0.0, self.spread * self.decay**update, (self.pairs, len(weights)))
        candidates = np.concatenate([weights[None], weights + steps, weights - steps])
        scores = np.array([score(candidate) for candidate in candidates])
        best = np.argsort(-scores, kind="stable")[: self.elites]
        return np.asarray(candidates[best].mean(axis=0), dtype=np.float64)
