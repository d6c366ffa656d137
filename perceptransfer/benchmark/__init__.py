"""Floor 7: the comparison of arms over fractions of real labels, the cross-task matrix, and their reports."""

from perceptransfer.benchmark.arms import ARMS as ARMS
from perceptransfer.benchmark.cells import Cell as Cell
from perceptransfer.benchmark.cells import Cells as Cells
from perceptransfer.benchmark.cells import Grid as Grid
from perceptransfer.benchmark.cross_task import CrossTask as CrossTask
from perceptransfer.benchmark.real_fraction import RealFractionBenchmark as RealFractionBenchmark
from perceptransfer.benchmark.real_fraction import failures as failures
from perceptransfer.benchmark.report import write_report as write_report

__all__ = ["ARMS", "Cell", "Cells", "CrossTask", "Grid", "RealFractionBenchmark", "failures", "write_report"]
