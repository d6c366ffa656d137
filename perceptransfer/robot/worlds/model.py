"""The scene as MJCF: a two-joint arm over a table, a target, room for a puck and for distractors.

Units are m, kg, s and rad. The robot's base is the origin, x points to the camera, y to the robot's left, z up.
"""

from __future__ import annotations

import mujoco

from perceptransfer.render.patterns import SIZE
from perceptransfer.robot.look import OBJECTS

LINK, ARM_HEIGHT, TIP_RADIUS = 0.2, 0.07, 0.011
REACH = 2 * LINK
SPEED = 2.0  # rad/s, bound of a command
TORQUE = 3.0  # N·m
JOINT_LIMITS = ((-2.6, 2.0), (0.1, 2.6))  # rad; the elbow bends to one side only
TARGET_RADIUS, PUCK_RADIUS, PUCK_HEIGHT = 0.03, 0.03, 0.015
PHYSICS_STEP = 0.005  # s
CAMERA_POSITION, CAMERA_FOCUS = (0.56, 0.0, 0.74), (0.19, 0.0, 0.0)

_PUCK = f"""
    <body name="puck" pos="0 0 {PUCK_HEIGHT}">
      <joint name="puck_x" type="slide" axis="1 0 0" damping="0.3"/>
      <joint name="puck_y" type="slide" axis="0 1 0" damping="0.3"/>
      <joint name="puck_turn" type="hinge" axis="0 0 1" damping="0.0005"/>
      <geom name="puck" type="cylinder" size="{PUCK_RADIUS} {PUCK_HEIGHT}" mass="0.1" material="puck" contype="1"
        conaffinity="1" friction="0.3"/>
    </body>"""


def xml(size: int, target_radius: float, puck: bool) -> str:
    """MJCF text for pictures of ``size`` pixels; ``target_radius`` is that of the disc on the table."""
    surfaces = "".join(
        f'<texture name="{name}" type="2d" builtin="flat" width="{SIZE}" height="{SIZE}"/>'
        f'<material name="{name}" texture="{name}" texuniform="true" texrepeat="4 4" specular="0.1"/>'
        for name in ("table", "floor")
    )
    paints = "".join(f'<material name="{name}"/>' for name in ("link", "joint", "tip", "target", "puck"))
    objects = "".join(f'<geom name="object{i}" type="box" size="0.02 0.02 0.01" pos="0 0 -1"/>' for i in range(OBJECTS))
    (low1, high1), (low2, high2) = JOINT_LIMITS
    return f"""
<mujoco model="arm">
  <compiler angle="radian"/>
  <option timestep="{PHYSICS_STEP}" integrator="implicitfast" gravity="0 0 -9.81"/>
  <statistic center="0.2 0 0" extent="1"/>
  <visual>
    <quality shadowsize="512" offsamples="0" numslices="14" numstacks="8"/>
    <global offwidth="{size}" offheight="{size}"/>
    <map znear="0.02" zfar="10" shadowclip="1.3"/>
    <headlight active="0"/>
  </visual>
  <asset>{surfaces}{paints}</asset>
  <default>
    <geom contype="0" conaffinity="0"/>
    <joint damping="0.05" armature="0.01"/>
  </default>
  <worldbody>
    <light name="main" pos="0 0 2" dir="0 0 -1" type="directional" castshadow="false"/>
    <light name="fill" pos="0 0 2" dir="0 0 -1" type="directional" castshadow="false"/>
    <camera name="camera" pos="0.6 0 0.8"/>
    <geom name="floor" type="plane" size="4 4 0.1" pos="0 0 -0.5" material="floor"/>
    <geom name="table" type="box" size="0.42 0.55 0.02" pos="0.17 0 -0.02" material="table"/>
    <geom name="target" type="cylinder" size="{target_radius} 0.0015" pos="0.2 0 0.0015" material="target"/>
    {objects}
    <geom name="base" type="cylinder" size="0.04 {ARM_HEIGHT / 2 - 0.015}" pos="0 0 {ARM_HEIGHT / 2 - 0.015}"
      material="joint"/>
    <body name="upper" pos="0 0 {ARM_HEIGHT}">
      <joint name="shoulder" axis="0 0 1" range="{low1} {high1}" limited="true"/>
      <geom name="shoulder" type="cylinder" size="0.028 0.02" material="joint" mass="0.1"/>
      <geom name="upper" type="capsule" fromto="0 0 0 {LINK} 0 0" size="0.015" material="link" mass="0.25"/>
      <body name="fore" pos="{LINK} 0 0">
        <joint name="elbow" axis="0 0 1" range="{low2} {high2}" limited="true"/>
        <geom name="elbow" type="cylinder" size="0.022 0.018" material="joint" mass="0.08"/>
        <geom name="fore" type="capsule" fromto="0 0 0 {LINK} 0 0" size="0.011" material="link" mass="0.15"/>
        <body name="hand" pos="{LINK} 0 0">
          <geom name="tip" type="cylinder" size="{TIP_RADIUS} 0.029" pos="0 0 -0.031" material="tip" mass="0.03"
            contype="1" conaffinity="1" friction="0.3"/>
          <site name="tip" pos="0 0 {0.012 - ARM_HEIGHT}" size="0.002" rgba="0 0 0 0"/>
          <body name="payload"><geom name="payload" type="sphere" size="0.001" mass="1e-6" rgba="0 0 0 0"/></body>
        </body>
      </body>
    </body>{_PUCK if puck else ""}
  </worldbody>
  <actuator>
    <velocity name="shoulder" joint="shoulder" kv="4" forcelimited="true" forcerange="-{TORQUE} {TORQUE}"/>
    <velocity name="elbow" joint="elbow" kv="4" forcelimited="true" forcerange="-{TORQUE} {TORQUE}"/>
  </actuator>
</mujoco>"""


def compiled(size: int, target_radius: float, puck: bool) -> mujoco.MjModel:
    """The model, ready to be simulated."""
    return mujoco.MjModel.from_xml_string(xml(size, target_radius, puck))
