"""Floor 4: one LightningModule a training regime, and what runs and reads them."""

from perceptransfer.learning.alignment import AlignmentModule as AlignmentModule
from perceptransfer.learning.build import build_loss as build_loss
from perceptransfer.learning.build import build_model as build_model
from perceptransfer.learning.build import build_tasks as build_tasks
from perceptransfer.learning.build import change_tasks as change_tasks
from perceptransfer.learning.build import initial_checkpoint as initial_checkpoint
from perceptransfer.learning.build import to_checkpoint as to_checkpoint
from perceptransfer.learning.fit import Precision as Precision
from perceptransfer.learning.fit import Runtime as Runtime
from perceptransfer.learning.fit import computes_bfloat16 as computes_bfloat16
from perceptransfer.learning.fit import fit as fit
from perceptransfer.learning.mean_teacher import MeanTeacherModule as MeanTeacherModule
from perceptransfer.learning.mean_teacher import Teacher as Teacher
from perceptransfer.learning.optim import Optim as Optim
from perceptransfer.learning.pose import PoseModule as PoseModule
from perceptransfer.learning.predict import Predictions as Predictions
from perceptransfer.learning.predict import answer as answer
from perceptransfer.learning.predict import answerer as answerer
from perceptransfer.learning.predict import predict as predict
from perceptransfer.learning.predict import predict_images as predict_images
from perceptransfer.learning.pseudo_targets import Bars as Bars
from perceptransfer.learning.pseudo_targets import pseudo_labelled as pseudo_labelled
from perceptransfer.learning.self_training import PseudoLabels as PseudoLabels
from perceptransfer.learning.self_training import SelfTrainingModule as SelfTrainingModule
from perceptransfer.learning.self_training import choose_pseudo_labels as choose_pseudo_labels
from perceptransfer.learning.supervised import NormMode as NormMode
from perceptransfer.learning.supervised import SupervisedModule as SupervisedModule

__all__ = [
    "AlignmentModule",
    "Bars",
    "MeanTeacherModule",
    "NormMode",
    "Optim",
    "PoseModule",
    "Precision",
    "Predictions",
    "PseudoLabels",
    "Runtime",
    "SelfTrainingModule",
    "SupervisedModule",
    "Teacher",
    "answer",
    "answerer",
    "build_loss",
    "build_model",
    "build_tasks",
    "change_tasks",
    "choose_pseudo_labels",
    "computes_bfloat16",
    "fit",
    "initial_checkpoint",
    "predict",
    "predict_images",
    "pseudo_labelled",
    "to_checkpoint",
]
