"""Networks: encoder, heads, and what is done to their weights."""

from perceptransfer.models.backbone import without_pretrained_weights as without_pretrained_weights
from perceptransfer.models.batchnorm import BatchNormReport as BatchNormReport
from perceptransfer.models.batchnorm import adapt_batchnorm as adapt_batchnorm
from perceptransfer.models.batchnorm import adapted_batchnorm as adapted_batchnorm
from perceptransfer.models.batchnorm import untracked_batchnorm as untracked_batchnorm
from perceptransfer.models.dense import DenseHead as DenseHead
from perceptransfer.models.dense import enlarge as enlarge
from perceptransfer.models.ema import EMA as EMA
from perceptransfer.models.encoder import Encoder as Encoder
from perceptransfer.models.freeze import Tune as Tune
from perceptransfer.models.freeze import set_trainable as set_trainable
from perceptransfer.models.heads import ClassificationHead as ClassificationHead
from perceptransfer.models.keypoint_encoder import KeypointEncoder as KeypointEncoder
from perceptransfer.models.keypoint_encoder import soft_argmax as soft_argmax
from perceptransfer.models.lora import LoRA as LoRA
from perceptransfer.models.lora import add_lora as add_lora
from perceptransfer.models.model import PerceptionModel as PerceptionModel
from perceptransfer.models.model import take as take
from perceptransfer.models.small_cnn import SmallCNN as SmallCNN
from perceptransfer.models.weights import interpolate as interpolate
from perceptransfer.models.weights import l2_distance as l2_distance
