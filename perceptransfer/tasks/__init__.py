"""Floor 3: what a model predicts. A new task is one file with one import line here."""

from perceptransfer.tasks.base import Task as Task
from perceptransfer.tasks.classification import Classification as Classification

__all__ = ["Classification", "Task"]
