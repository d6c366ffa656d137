"""Adversarial alignment of outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from perceptransfer.alignment.base import AlignmentLoss
from perceptransfer.alignment.beliefs import Belief, beliefs, chosen
from perceptransfer.alignment.reversal import ramped, reverse_gradient
from perceptransfer.core.errors import ConfigError
from perceptransfer.core.features import KEYPOINTS, LABEL, Features


class ADVENT(AlignmentLoss):
    """Cross-entropy of convolutional discriminators that look at maps of self-information ``-p ln p``, one for a task.

    Whether an output comes from the source or the target must not be seen in how sure it is where. The reversed
    gradient, scaled by ``max_lambda`` on DANN's ramp, reaches the model through the target's outputs only. A class
    prediction is a map of one place; a heatmap is taken relative to its peak, so that the discriminator sees how the
    keypoints lie to each other. ``kinds`` names the kinds of label to act on; null for all that there are.

    Papers: Vu et al., ADVENT, CVPR 2019; outputs as what is aligned after Tsai et al., CVPR 2018.
    """

    def __init__(
        self, hidden: int = 32, max_lambda: float = 1.0, ramp: float = 10.0, kinds: list[str] | None = None
    ) -> None:
        super().__init__()
        self.hidden, self.max_lambda, self.ramp, self.wanted = hidden, max_lambda, ramp, kinds
        self.names, self.discriminators = list[str](), nn.ModuleList()

    def build(self, dim: int, num_classes: int) -> None:
        """Create the discriminators for the outputs' channels."""
        names = chosen(self.shapes, self.wanted)
        inputs = [self.shapes.sizes[name] for name in names]
        if names == self.names and inputs == [layers[0].in_channels for layers in self.discriminators]:  # type: ignore[index]
            return
        self.names = names
        self.discriminators = nn.ModuleList(_discriminator(count, self.hidden) for count in inputs)

    def forward(self, source: Features, target: Features, *, progress: float) -> Tensor:
        """Scalar: sum over tasks of the mean of the two domains' cross-entropies.

        Raises:
            ConfigError: called before `prepare`.
        """
        if not self.names:
            raise ConfigError("ADVENT has no discriminator yet", remedy="call prepare(shapes) first")
        scale, losses, right = ramped(self.max_lambda, self.ramp, progress), [], {}
        pairs = zip(*(beliefs(features, self.shapes, self.names) for features in (source, target)), strict=True)
        for layers, (one, other) in zip(self.discriminators, pairs, strict=True):
            shape = target.outputs[one.name].shape[2:]
            of_source = layers(self_information(one, shape).detach())
            of_target = layers(reverse_gradient(self_information(other, shape), scale))
            losses.append((functional.softplus(-of_source).mean() + functional.softplus(of_target).mean()) / 2)
            right[one.name] = ((of_source > 0).float().mean() + (of_target <= 0).float().mean()) / 2
        self.log(**{f"discriminator_accuracy_{name}": value for name, value in right.items()})
        return torch.stack(losses).sum()


def self_information(belief: Belief, shape: torch.Size) -> Tensor:
    """Maps ``[B, C, h, w]`` of ``-p ln p``; of a heatmap p relative to its peak; of a class prediction 1 x 1."""
    if belief.kind == LABEL:
        return -(belief.log_p.exp() * belief.log_p)[..., None, None]
    if belief.kind == KEYPOINTS:
        relative = (belief.log_p - belief.log_p.amax(2, keepdim=True)).exp()
        return relative.view(*relative.shape[:2], *shape)
    return -(belief.log_p.exp() * belief.log_p)


def _discriminator(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(hidden, 2 * hidden, 3, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * hidden, 1, 1),
    )
