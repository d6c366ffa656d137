"""Train vision on rendered images, measure what survives on real ones, close the gap with few real labels.

Names are imported on first use (PEP 562): importing torch, lightning and timm takes seconds.
"""

import importlib

__version__ = "0.1.0"

# Type checkers take this name for true; `from typing import TYPE_CHECKING` would cost more than the rest of the file.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from perceptransfer.alignment import ADVENT as ADVENT
    from perceptransfer.alignment import CORAL as CORAL
    from perceptransfer.alignment import DANN as DANN
    from perceptransfer.alignment import MCC as MCC
    from perceptransfer.alignment import MMD as MMD
    from perceptransfer.alignment import AlignmentLoss as AlignmentLoss
    from perceptransfer.alignment import EntropyMinimization as EntropyMinimization
    from perceptransfer.alignment import InformationMaximization as InformationMaximization
    from perceptransfer.alignment import NoAlignment as NoAlignment
    from perceptransfer.alignment import Sum as Sum
    from perceptransfer.benchmark import RealFractionBenchmark as RealFractionBenchmark
    from perceptransfer.core.ledger import Ledger as Ledger
    from perceptransfer.data import Annotated as Annotated
    from perceptransfer.data import BlenderProcHDF5 as BlenderProcHDF5
    from perceptransfer.data import Bop as Bop
    from perceptransfer.data import Coco as Coco
    from perceptransfer.data import Folder as Folder
    from perceptransfer.data import FontDigits as FontDigits
    from perceptransfer.data import MaskFolder as MaskFolder
    from perceptransfer.data import ScannedDigits as ScannedDigits
    from perceptransfer.data import TransferData as TransferData
    from perceptransfer.deploy import export as export
    from perceptransfer.metrics import TransferReport as TransferReport
    from perceptransfer.models import Encoder as Encoder
    from perceptransfer.pipeline import Pipeline as Pipeline
    from perceptransfer.pipeline import Store as Store
    from perceptransfer.policy import load_encoder as load_encoder
    from perceptransfer.stages import Align as Align
    from perceptransfer.stages import Finetune as Finetune
    from perceptransfer.stages import Pretrain as Pretrain
    from perceptransfer.stages import SelfTrain as SelfTrain
    from perceptransfer.stages import Specialize as Specialize
    from perceptransfer.tasks import Classification as Classification
    from perceptransfer.tasks import Depth as Depth
    from perceptransfer.tasks import Keypoints as Keypoints
    from perceptransfer.tasks import Segmentation as Segmentation
    from perceptransfer.weighting import DWA as DWA
    from perceptransfer.weighting import FAMO as FAMO
    from perceptransfer.weighting import PCGrad as PCGrad
    from perceptransfer.weighting import Static as Static
    from perceptransfer.weighting import Uncertainty as Uncertainty
    from perceptransfer.weighting import Weighting as Weighting

_ROOMS = {
    "alignment": (
        *("ADVENT", "AlignmentLoss", "CORAL", "DANN", "EntropyMinimization", "InformationMaximization"),
        *("MCC", "MMD", "NoAlignment", "Sum"),
    ),
    "benchmark": ("RealFractionBenchmark",),
    "core.ledger": ("Ledger",),
    "data": (
        "Annotated",
        "BlenderProcHDF5",
        "Bop",
        "Coco",
        "Folder",
        "FontDigits",
        "MaskFolder",
        "ScannedDigits",
        "TransferData",
    ),
    "deploy": ("export",),
    "metrics": ("TransferReport",),
    "models": ("Encoder",),
    "pipeline": ("Pipeline", "Store"),
    "policy": ("load_encoder",),
    "stages": ("Align", "Finetune", "Pretrain", "SelfTrain", "Specialize"),
    "tasks": ("Classification", "Depth", "Keypoints", "Segmentation"),
    "weighting": ("DWA", "FAMO", "PCGrad", "Static", "Uncertainty", "Weighting"),
}
_HOME = {name: f"perceptransfer.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *_HOME]

if not TYPE_CHECKING:  # hidden from type checkers, for which it would make every misspelt name valid

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'perceptransfer' has no attribute {name!r}")
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value  # the next access does not come here
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
