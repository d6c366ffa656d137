"""Alignment losses, one method a file; `losses` finds them all."""

from perceptransfer.alignment.advent import ADVENT as ADVENT
from perceptransfer.alignment.base import AlignmentLoss as AlignmentLoss
from perceptransfer.alignment.base import Shapes as Shapes
from perceptransfer.alignment.base import class_logits as class_logits
from perceptransfer.alignment.base import losses as losses
from perceptransfer.alignment.base import require_batch as require_batch
from perceptransfer.alignment.coral import CORAL as CORAL
from perceptransfer.alignment.dann import DANN as DANN
from perceptransfer.alignment.entropy import EntropyMinimization as EntropyMinimization
from perceptransfer.alignment.information import InformationMaximization as InformationMaximization
from perceptransfer.alignment.mcc import MCC as MCC
from perceptransfer.alignment.mmd import MMD as MMD
from perceptransfer.alignment.none import NoAlignment as NoAlignment
from perceptransfer.alignment.total import Sum as Sum
