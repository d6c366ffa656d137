"""Floor 3: what a model predicts. A new task is one file with one import line here."""

from perceptransfer.tasks.base import Task as Task
from perceptransfer.tasks.base import classifier as classifier
from perceptransfer.tasks.classification import Classification as Classification
from perceptransfer.tasks.depth import Depth as Depth
from perceptransfer.tasks.keypoints import Keypoints as Keypoints
from perceptransfer.tasks.segmentation import Segmentation as Segmentation

__all__ = ["Classification", "Depth", "Keypoints", "Segmentation", "Task", "classifier"]
