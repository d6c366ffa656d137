"""Heads and the ways to carry out chunks, against hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch

from perceptransfer.policy import ChunkHead, MLPHead, Normalizer, RecedingHorizon, TemporalEnsemble


def test_normalizer_by_hand_and_back() -> None:
    norm = Normalizer(2)
    norm.fit(torch.tensor([[1.0, 10.0], [3.0, 10.0]]))
    assert norm.mean.tolist() == [2.0, 10.0]
    assert norm.std.tolist() == pytest.approx([1.0, 1e-3]), "a constant component is not blown up"
    values = torch.randn(5, 2)
    assert torch.allclose(norm.inverse(norm(values)), values, atol=1e-5)


def test_normalisation_travels_with_the_weights() -> None:
    head, other = MLPHead(3, 2, hidden=(8,)), MLPHead(3, 2, hidden=(8,))
    head.fit_normalizers(torch.randn(20, 3) * 5 + 2, torch.randn(20, 2) * 3 - 1)
    other.load_state_dict(head.state_dict())
    features = torch.randn(4, 3)
    assert torch.equal(head.eval()(features), other.eval()(features))


def test_actions_come_in_their_own_units() -> None:
    head = MLPHead(3, 2, hidden=(8,))
    head.fit_normalizers(torch.randn(50, 3), torch.tensor([[100.0, -3.0], [104.0, -3.5]]))
    last = head.layers[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    assert torch.allclose(head(torch.randn(1, 3)), torch.tensor([[102.0, -3.25]]))


def test_shapes_and_batch_independence() -> None:
    mlp, chunk = MLPHead(5, 2).eval(), ChunkHead(5, 2, horizon=4).eval()
    features = torch.randn(7, 5)
    assert mlp(features).shape == (7, 2) and chunk(features).shape == (7, 4, 2)
    assert torch.allclose(chunk(features)[3:4], chunk(features[3:4]), atol=1e-6)


def test_receding_horizon_takes_actions_in_order() -> None:
    ways = RecedingHorizon(execute=2)
    chunks = [torch.full((1, 3, 1), 10.0 * i) + torch.arange(3.0).view(1, 3, 1) for i in range(3)]
    assert [ways.act(chunk).item() for chunk in chunks] == [0.0, 1.0, 20.0]
    assert not ways.wants_chunk() and ways.act(None).item() == 21.0 and ways.wants_chunk()
    ways.reset()
    assert ways.act(chunks[1]).item() == 10.0


def test_receding_horizon_asks_again_at_the_end_of_a_short_chunk() -> None:
    ways = RecedingHorizon(execute=5)
    ways.act(torch.zeros(1, 1, 1))
    assert ways.wants_chunk()
    with pytest.raises(ValueError, match="new chunk"):
        ways.act(None)


def test_temporal_ensemble_by_hand() -> None:
    # Chunks made at ticks 0 and 1; for tick 1 they say 2 and 5, the older with weight 1, the newer with exp(-0.5).
    ways = TemporalEnsemble(decay=0.5)
    assert ways.act(torch.tensor([[[1.0], [2.0]]])).item() == 1.0
    newer = math.exp(-0.5)
    assert ways.act(torch.tensor([[[5.0], [7.0]]])).item() == pytest.approx((2 + 5 * newer) / (1 + newer))
    # Tick 2: the first chunk reached tick 1 only.
    assert ways.act(torch.tensor([[[9.0], [0.0]]])).item() == pytest.approx((7 + 9 * newer) / (1 + newer))
    ways.reset()
    assert ways.act(torch.tensor([[[4.0], [0.0]]])).item() == 4.0


def test_ensembling_equal_chunks_changes_nothing() -> None:
    ways = TemporalEnsemble()
    constant = torch.full((3, 6, 2), 1.5)
    assert all(torch.allclose(ways.act(constant), torch.full((3, 2), 1.5)) for _ in range(10))


def test_a_policy_needs_torch_only() -> None:
    import subprocess
    import sys

    code = "import sys, perceptransfer.policy.heads; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"lightning", "timm", "albumentations", "jsonargparse", "mujoco"} & set(loaded)
