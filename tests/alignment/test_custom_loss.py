"""A user's own loss: one small file outside the package, named by its import path."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from perceptransfer.alignment import AlignmentLoss, Shapes, losses
from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.features import Features

SOURCE = """
from perceptransfer.alignment import AlignmentLoss


class MeanGap(AlignmentLoss):
    def forward(self, source, target, *, progress):
        gap = (source.pooled.mean(0) - target.pooled.mean(0)).square().sum()
        self.log(gap=gap)
        return gap
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_own_loss.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_own_loss", raising=False)
    return "users_own_loss"


def test_runs_by_import_path_and_is_not_listed_as_the_packages(module: str) -> None:
    loss = instantiate({"class_path": f"{module}.MeanGap"})
    assert isinstance(loss, AlignmentLoss)
    loss.build(2, 2)
    source, target = torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([[4.0, 0.0]])
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(Features(source.bfloat16()), Features(target.bfloat16()), progress=0.0)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(9 + 1)
    assert loss.logs == {"gap": pytest.approx(10.0)}
    assert config_of(loss) == {"class_path": f"{module}.MeanGap", "init_args": {}}
    assert len(fingerprint(loss)) == 64
    assert "MeanGap" not in losses()


def test_a_loss_that_only_knows_build_is_made_ready_by_prepare() -> None:
    class Older(AlignmentLoss):
        def build(self, dim, num_classes):
            self.scale = torch.nn.Parameter(torch.full((dim,), float(num_classes)))

        def forward(self, source, target, *, progress):
            return (self.scale * (source.pooled.mean(0) - target.pooled.mean(0))).square().sum()

    loss = Older()
    loss.prepare(Shapes(2, 3, (4,), {"class": "label"}, {"class": 3}))
    value = loss(Features(torch.ones(2, 2)), Features(torch.zeros(1, 2)), progress=0.0)
    assert value.item() == pytest.approx(2 * 9.0) and loss.shapes.channels == (4,)
