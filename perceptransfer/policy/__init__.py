"""Floor 1: what ships to the robot; torch only."""

from perceptransfer.policy.chunks import RecedingHorizon as RecedingHorizon
from perceptransfer.policy.chunks import TemporalEnsemble as TemporalEnsemble
from perceptransfer.policy.heads import ChunkHead as ChunkHead
from perceptransfer.policy.heads import MLPHead as MLPHead
from perceptransfer.policy.heads import Normalizer as Normalizer
from perceptransfer.policy.heads import PolicyHead as PolicyHead
