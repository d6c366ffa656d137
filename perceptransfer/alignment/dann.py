"""Domain-adversarial training."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from perceptransfer.alignment.base import AlignmentLoss, require_batch
from perceptransfer.alignment.discriminator import DomainDiscriminator, Normalization
from perceptransfer.alignment.places import points, width
from perceptransfer.alignment.reversal import ramped
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import Features


class DANN(AlignmentLoss):
    """Cross-entropy of a domain discriminator whose gradient reaches the encoder with its sign reversed.

    The reversed gradient is scaled by ``max_lambda * (2 / (1 + exp(-ramp * progress)) - 1)``; ``ramp = 0`` makes it
    ``max_lambda`` from the start. ``normalization`` is the discriminator's (see `DomainDiscriminator`) and decides
    more than its width does. With ``level`` every place of that map of the pyramid is judged by itself (see `points`)
    instead of the pooled vector. Logs the discriminator's accuracy: .5 is confusion, 1 a lost game.

    Paper: Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 2016.
    """

    IF_GIVEN: ClassVar[frozenset[str]] = frozenset({"level"})

    def __init__(
        self,
        hidden: int = 256,
        max_lambda: float = 1.0,
        ramp: float = 10.0,
        normalization: Normalization = "domain",
        level: int | None = None,
    ) -> None:
        super().__init__()
        self.level = level
        self.hidden, self.max_lambda, self.ramp, self.normalization = hidden, max_lambda, ramp, normalization
        self.discriminator: DomainDiscriminator | None = None

    def build(self, dim: int, num_classes: int) -> None:
        """Create the discriminator for features ``[B, dim]``, or for the channels of ``level``."""
        dim = width(self.shapes, dim, self.level)
        if self.discriminator is None or self.discriminator.dim != dim:
            self.discriminator = DomainDiscriminator(dim, self.hidden, self.normalization)

    def scale(self, progress: float) -> float:
        """Weight of the reversed gradient at ``progress`` in ``0 .. 1``."""
        return ramped(self.max_lambda, self.ramp, progress)

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar: mean of the two domains' cross-entropies, so unequal batches weigh the same.

        Raises:
            ConfigError: called before `build`, or one image of a domain under batch normalisation.
        """
        if self.discriminator is None:
            raise ConfigError("DANN has no discriminator yet", remedy="call build(dim, num_classes) first")
        if self.normalization != "none":
            require_batch(source, target, "DANN with batch normalisation")
        of_source, of_target = self.discriminator(
            points(source, self.level), points(target, self.level), self.scale(progress)
        )
        self.log(discriminator_accuracy=((of_source > 0).float().mean() + (of_target <= 0).float().mean()) / 2)
        # softplus(-z) = -log sigmoid(z): the source is labelled 1, the target 0
        return (functional.softplus(-of_source).mean() + functional.softplus(of_target).mean()) / 2
