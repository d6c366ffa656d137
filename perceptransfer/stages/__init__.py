"""Floor 5: the five steps of a pipeline."""

from perceptransfer.stages.align import Align as Align
from perceptransfer.stages.base import Stage as Stage
from perceptransfer.stages.base import StageResult as StageResult
from perceptransfer.stages.finetune import Finetune as Finetune
from perceptransfer.stages.pretrain import Pretrain as Pretrain
from perceptransfer.stages.self_train import SelfTrain as SelfTrain
from perceptransfer.stages.specialize import Specialize as Specialize

__all__ = ["Align", "Finetune", "Pretrain", "SelfTrain", "Specialize", "Stage", "StageResult"]
