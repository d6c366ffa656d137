"""Floor 3: where images come from, which of them a stage may see, and how they enter a batch."""

from perceptransfer.data.annotated import Annotated as Annotated
from perceptransfer.data.augment import Augmentation as Augmentation
from perceptransfer.data.augment import NoAugmentation as NoAugmentation
from perceptransfer.data.augment import StrongAugmentation as StrongAugmentation
from perceptransfer.data.augment import WeakAugmentation as WeakAugmentation
from perceptransfer.data.augment import to_tensor as to_tensor
from perceptransfer.data.batches import Batches as Batches
from perceptransfer.data.batches import Stream as Stream
from perceptransfer.data.batches import batches as batches
from perceptransfer.data.batches import eval_batches as eval_batches
from perceptransfer.data.digits import FontDigits as FontDigits
from perceptransfer.data.digits import ScannedDigits as ScannedDigits
from perceptransfer.data.domain import Domain as Domain
from perceptransfer.data.domain import union as union
from perceptransfer.data.domain_set import DomainSet as DomainSet
from perceptransfer.data.folder import Folder as Folder
from perceptransfer.data.folder import UnlabeledFolder as UnlabeledFolder
from perceptransfer.data.manifest import Manifest as Manifest
from perceptransfer.data.real_test import TestDomain as TestDomain
from perceptransfer.data.real_test import TestOutcome as TestOutcome
from perceptransfer.data.sensor_augment import SensorAugmentation as SensorAugmentation
from perceptransfer.data.source import ImageSet as ImageSet
from perceptransfer.data.source import ImageSource as ImageSource
from perceptransfer.data.source import Record as Record
from perceptransfer.data.targets import Targets as Targets
from perceptransfer.data.transfer_data import TransferData as TransferData
