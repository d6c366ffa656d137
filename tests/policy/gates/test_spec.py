"""Gate files: what is shipped works, what is wrong is named with file, key and remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from perceptransfer.core.config import config_of, instantiate
from perceptransfer.core.errors import GateError
from perceptransfer.policy.gates import KINDS, Kind, gate_from, read_gate
from tests.policy.gates.arm import GATES, NOW, evidence, planar_gate

SHIPPED = sorted(GATES.glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_gate_uses_every_kind_and_survives_a_round_trip(path: Path) -> None:
    gate = read_gate(path)
    assert {constraint.kind for constraint in gate.constraints.values()} == {kind for kind in KINDS if "." not in kind}
    assert instantiate(config_of(gate)).identity() == gate.identity()


def test_numbers_arrive_in_si_units() -> None:
    gate = read_gate(GATES / "six_joint_position.yaml")
    assert gate.constraints["tool_rate"].limit == 0.25 and gate.freshness.max_age == pytest.approx(0.04)
    assert gate.constraints["joints"].low[1] == pytest.approx(np.deg2rad(-170))
    assert gate.constraints["press"].stiffness == 20_000


def test_any_changed_number_is_another_gate() -> None:
    text = (GATES / "planar_reach.yaml").read_text()
    changed = gate_from(yaml.safe_load(text.replace("limit: 15 N", "limit: 15.001 N")))
    assert changed.identity() != planar_gate().identity()
    assert (
        gate_from(yaml.safe_load(text.replace("limit: 15 N", "limit: 0.015 kN"))).identity() == planar_gate().identity()
    )


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("kind: tool_speed", "kind: tool_sped", "constraints.tool_rate.kind", "did you mean tool_speed"),
        ("kind: tool_speed", "kind: no.such.Thing", "constraints.tool_rate.kind", "unknown kind"),
        ("kind: tool_speed, ", "", "constraints.tool_rate.kind", "unknown kind"),
        ("limit: 60 cm/s", "limit: 0.6", "constraints.tool_rate.limit", "0.6 has no unit, a speed is needed"),
        ("limit: 60 cm/s", "limit: 60 cm", "constraints.tool_rate.limit", "does not measure a speed"),
        ("limit: 60 cm/s", "limit: .inf", "constraints.tool_rate.limit", "no unit"),
        ("limit: 60 cm/s", "limit: -60 cm/s", "constraints.tool_rate.limit", "not above 0"),
        ("limit: 60 cm/s, ", "", "constraints.tool_rate.limit", "missing"),
        ("limit: 60 cm/s", "limit: 60 cm/s, limit: 6 m/s", "limit", "given twice"),
        ("limit: 60 cm/s", "limit: [60 cm/s]", "constraints.tool_rate", "cannot make tool_speed"),
        ("margin: 15 cm/s", "margin: 70 cm/s", "constraints.tool_rate.margin", "not in 0"),
        ("margin: 15 cm/s", "margn: 15 cm/s", "constraints.tool_rate.margn", "did you mean margin"),
        ("margin: 15 cm/s", "clip: maybe", "constraints.tool_rate.clip", "neither true nor false"),
        ("[-2.6 rad, 0.1 rad]", "[-2.6 rad]", "constraints.joints.low", "differ in length"),
        ("[-2.6 rad, 0.1 rad]", "-2.6 rad", "constraints.joints.low", "differ in length"),
        ("margin: 15 mm", "margin: 20 cm", "constraints.table.margin", "nothing is left"),
        ("tool_axes: 2", "tool_axes: 3", "constraints.table", "2 numbers for 3 axes"),
        ("joints: 2,", "joints: 3,", "constraints.joints", "2 numbers for 3 joints"),
        ("joints: 2,", "joints: two,", "action.joints", "'two' joints"),
        ("tool_axes: 2", "tool_axes: 4", "tool_axes", "4 axes"),
        ("max_age: 100 ms", "max_age: 100", "sensors.max_age", "no unit"),
        ("max_lead: 5 ms", "max_lead: -5 ms", "max_lead", "negative"),
        ("gate: 1", "gate: 2", "gate", "format 2"),
        ("gate: 1\n", "", "gate", "missing"),
        ("constraints:", "limits:", "limits", "unknown key"),
        ("kind: joint_velocity", "kind: joint_torque", "action.kind", "use one of joint_position, joint_velocity"),
    ],
)
def test_a_wrong_gate_file_is_refused_by_name(tmp_path: Path, old: str, new: str, key: str, problem: str) -> None:
    text = (GATES / "planar_reach.yaml").read_text()
    assert old in text
    path = tmp_path / "my_gate.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(GateError) as caught:
        read_gate(path)
    message = str(caught.value)
    assert "my_gate.yaml" in message and f"(key: {key})" in message and "remedy" in message and problem in message


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"gate: [", b"\xff\xfe", b"gate: 1\nconstraints: {}"])
def test_what_is_no_gate_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gate.yaml"
    path.write_bytes(content)
    with pytest.raises(GateError, match=r"gate\.yaml"):
        read_gate(path)
    with pytest.raises(GateError, match=r"nothing\.yaml"):
        read_gate(tmp_path / "nothing.yaml")


TILT = '''
"""A user's constraint."""

from perceptransfer.policy.gates import CHANNELS, Constraint

CHANNELS["tilt"] = ("rad", "")


class Tilt(Constraint):
    """The cup stays upright."""

    unit = "rad"
    quantities = {"limit": "angle"}
    channels = ("tilt",)

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def measured(self, at):
        return float(at["tilt"].value) - self.limit

    def proposed(self, at, rate):
        return self.measured(at)
'''


def test_a_users_constraint_by_its_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_limits.py").write_text(TILT)
    monkeypatch.syspath_prepend(str(tmp_path))
    declared: dict[str, Any] = yaml.safe_load((GATES / "planar_reach.yaml").read_text())
    declared["constraints"]["upright"] = {"kind": "my_limits.Tilt", "limit": "10 deg"}
    gate = gate_from(declared)
    try:
        still = np.zeros(2)
        assert gate.check(evidence(tilt=np.deg2rad(9)), still, NOW).kind is Kind.PASS
        assert gate.check(evidence(tilt=np.deg2rad(11)), still, NOW).binding == ("upright",)
        assert gate.check(evidence(), still, NOW).validity == ("tilt missing",)
    finally:
        import perceptransfer.policy.gates as gates

        gates.CHANNELS.pop("tilt")


def test_gates_need_neither_torch_nor_yaml_nor_configuration_libraries() -> None:
    code = "import perceptransfer.policy.gates, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert "numpy" in loaded
    heavy = {"torch", "lightning", "timm", "albumentations", "jsonargparse", "yaml", "gymnasium", "scipy"}
    assert not loaded & heavy
