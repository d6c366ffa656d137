"""Kinematics of an arm with two equal links in a plane."""

from __future__ import annotations

import numpy as np

from perceptransfer.policy.gates.evidence import Floats


def tool(joints: Floats, link: float) -> Floats:
    """Tip (x, y in m) at joint angles (rad), links of ``link`` m."""
    first, both = joints[0], joints[0] + joints[1]
    return link * np.array([np.cos(first) + np.cos(both), np.sin(first) + np.sin(both)])


def jacobian(joints: Floats, link: float) -> Floats:
    """Derivative of `tool` by the joints, ``[2, 2]`` in m/rad."""
    first, both = joints[0], joints[0] + joints[1]
    fore = link * np.array([-np.sin(both), np.cos(both)])
    return np.column_stack([fore + link * np.array([-np.sin(first), np.cos(first)]), fore])
