"""Floor 2: how several tasks' losses become one update, one method a file; `weightings` finds them all."""

from perceptransfer.weighting.base import GradientWeighting as GradientWeighting
from perceptransfer.weighting.base import Weighting as Weighting
from perceptransfer.weighting.base import weightings as weightings
from perceptransfer.weighting.dwa import DWA as DWA
from perceptransfer.weighting.famo import FAMO as FAMO
from perceptransfer.weighting.log import MultiTaskLog as MultiTaskLog
from perceptransfer.weighting.log import cosines as cosines
from perceptransfer.weighting.pcgrad import PCGrad as PCGrad
from perceptransfer.weighting.static import Static as Static
from perceptransfer.weighting.uncertainty import Uncertainty as Uncertainty
