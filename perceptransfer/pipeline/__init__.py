"""Floor 6: stages in a row, what they made, and the record of it."""

from perceptransfer.pipeline.evaluate import Evaluation as Evaluation
from perceptransfer.pipeline.evaluate import evaluate as evaluate
from perceptransfer.pipeline.pipeline import Pipeline as Pipeline
from perceptransfer.pipeline.pipeline import PipelineResult as PipelineResult
from perceptransfer.pipeline.pipeline import PlannedStage as PlannedStage
from perceptransfer.pipeline.provenance import machine as machine
from perceptransfer.pipeline.provenance import run_provenance as run_provenance
from perceptransfer.pipeline.store import Entry as Entry
from perceptransfer.pipeline.store import Store as Store

__all__ = [
    "Entry",
    "Evaluation",
    "Pipeline",
    "PipelineResult",
    "PlannedStage",
    "Store",
    "evaluate",
    "machine",
    "run_provenance",
]
