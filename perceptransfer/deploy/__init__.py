"""Floor 3: from a checkpoint to what a robot loads, with proof that nothing was lost on the way."""

from perceptransfer.deploy.export import export as export

__all__ = ["export"]
