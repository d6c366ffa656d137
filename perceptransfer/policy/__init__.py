"""Floor 1: what ships to the robot. Runs with torch alone, or with onnxruntime and NumPy alone.

Names are imported on first use (PEP 562), because some of them need torch and a robot may have none.
"""

import importlib

# As in the top-level module: type checkers take it for true.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from perceptransfer.policy.bundle import load as load
    from perceptransfer.policy.bundle import load_encoder as load_encoder
    from perceptransfer.policy.bundle import verify_bundle as verify_bundle
    from perceptransfer.policy.cache import FeatureCache as FeatureCache
    from perceptransfer.policy.chunks import RecedingHorizon as RecedingHorizon
    from perceptransfer.policy.chunks import TemporalEnsemble as TemporalEnsemble
    from perceptransfer.policy.contract import Contract as Contract
    from perceptransfer.policy.contract import read_contract as read_contract
    from perceptransfer.policy.frozen import Encoded as Encoded
    from perceptransfer.policy.frozen import FrozenEncoder as FrozenEncoder
    from perceptransfer.policy.heads import ChunkHead as ChunkHead
    from perceptransfer.policy.heads import MLPHead as MLPHead
    from perceptransfer.policy.heads import Normalizer as Normalizer
    from perceptransfer.policy.heads import PolicyHead as PolicyHead
    from perceptransfer.policy.image_spec import ImageSpec as ImageSpec
    from perceptransfer.policy.planar_head import PlanarHead as PlanarHead
    from perceptransfer.policy.saved import PolicyDescription as PolicyDescription
    from perceptransfer.policy.saved import load_policy as load_policy
    from perceptransfer.policy.saved import save_policy as save_policy

_FILES = {
    "bundle": ("load", "load_encoder", "verify_bundle"),
    "cache": ("FeatureCache",),
    "chunks": ("RecedingHorizon", "TemporalEnsemble"),
    "contract": ("Contract", "read_contract"),
    "frozen": ("Encoded", "FrozenEncoder"),
    "heads": ("ChunkHead", "MLPHead", "Normalizer", "PolicyHead"),
    "image_spec": ("ImageSpec",),
    "planar_head": ("PlanarHead",),
    "saved": ("PolicyDescription", "load_policy", "save_policy"),
}
_HOME = {name: f"perceptransfer.policy.{file}" for file, names in _FILES.items() for name in names}

__all__ = [*_HOME]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'perceptransfer.policy' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
