"""Limits between a policy and its robot: declared with units, checked before and after every action.

A new kind of constraint is one class in one file: import it here, or name it in a gate file by its import path.
"""

from perceptransfer.policy.gates.action import Action as Action
from perceptransfer.policy.gates.action import JointPosition as JointPosition
from perceptransfer.policy.gates.action import JointVelocity as JointVelocity
from perceptransfer.policy.gates.constraint import KINDS as KINDS
from perceptransfer.policy.gates.constraint import Constraint as Constraint
from perceptransfer.policy.gates.constraint import StateConstraint as StateConstraint
from perceptransfer.policy.gates.decision import Audit as Audit
from perceptransfer.policy.gates.decision import Decision as Decision
from perceptransfer.policy.gates.decision import Kind as Kind
from perceptransfer.policy.gates.delay import ActuatorDelay as ActuatorDelay
from perceptransfer.policy.gates.evidence import CHANNELS as CHANNELS
from perceptransfer.policy.gates.evidence import Evidence as Evidence
from perceptransfer.policy.gates.evidence import Reading as Reading
from perceptransfer.policy.gates.force import ContactForce as ContactForce
from perceptransfer.policy.gates.gate import Gate as Gate
from perceptransfer.policy.gates.health import ControllerHealth as ControllerHealth
from perceptransfer.policy.gates.human import HumanDistance as HumanDistance
from perceptransfer.policy.gates.joint_limit import JointLimit as JointLimit
from perceptransfer.policy.gates.spec import gate_from as gate_from
from perceptransfer.policy.gates.spec import read_gate as read_gate
from perceptransfer.policy.gates.speed import JointSpeed as JointSpeed
from perceptransfer.policy.gates.speed import ToolSpeed as ToolSpeed
from perceptransfer.policy.gates.temperature import JointTemperature as JointTemperature
from perceptransfer.policy.gates.workspace import WorkspaceBox as WorkspaceBox
