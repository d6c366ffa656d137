"""What every weighting keeps, checked on all that the package has because they exist."""

from __future__ import annotations

import copy
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError
from perceptransfer.weighting import GradientWeighting, Weighting, weightings

TASKS = ("class", "depth", "mask")
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "Static": [{"weights": {"depth": 0.1}}],
    "DWA": [{"periods": 3, "temperature": 1.0}],
    "FAMO": [{"lr": 0.1, "decay": 0.0}],
}
CASES = [(cls, kwargs) for name, cls in weightings().items() for kwargs in [{}, *VARIANTS.get(name, [])]]
IDS = ["-".join([cls.__name__, *map(str, kwargs)]) for cls, kwargs in CASES]
every_weighting = pytest.mark.parametrize(("cls", "kwargs"), CASES, ids=IDS)


def make(cls: type[Weighting], kwargs: dict[str, Any]) -> Weighting:
    torch.manual_seed(1)
    weighting = cls(**kwargs)
    weighting.build(TASKS, regression=["depth"])
    return weighting


class Toy(nn.Module):
    """A shared vector and one distance a task: all that a weighting can tell of a model."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.tensor([2.0, -1.0]))
        self.centres = torch.tensor([[1.0, 1.0], [-1.0, 0.5], [0.0, -2.0]])

    def losses(self) -> dict[str, Tensor]:
        sizes = (1.0, 30.0, 0.2)
        return {
            name: size * (self.shared - centre).square().sum() + 0.05
            for name, size, centre in zip(TASKS, sizes, self.centres, strict=True)
        }


def train(weighting: Weighting, toy: Toy, steps: range, total: int = 12) -> list[float]:
    optimizer = torch.optim.SGD([*toy.parameters(), *weighting.parameters()], lr=0.01)
    seen = []
    for step in steps:
        losses = toy.losses()
        optimizer.zero_grad()
        scalar = weighting(losses, progress=step / total)
        if isinstance(weighting, GradientWeighting):
            each = torch.stack([torch.autograd.grad(x, toy.shared, retain_graph=True)[0] for x in losses.values()])
            factors = weighting.factors((each @ each.T).double())
        scalar.backward()
        if isinstance(weighting, GradientWeighting):
            toy.shared.grad = factors.float() @ each
        optimizer.step()
        if weighting.AFTER_STEP:
            weighting.after_step(weighting.stacked(toy.losses()).detach())
        seen.append(scalar.item())
    return seen


def test_the_package_lists_its_methods() -> None:
    assert set(weightings()) == {"Static", "Uncertainty", "DWA", "FAMO", "PCGrad"}


@every_weighting
def test_scalar_finite_and_no_task_is_pushed_up(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting, toy = make(cls, kwargs), Toy()
    for step in range(12):
        losses = toy.losses()
        total = weighting(losses, progress=step / 12)
        assert total.shape == () and total.dtype == torch.float32 and math.isfinite(total.item())
        assert all(float(w) > 0 for w in torch.autograd.grad(total, list(losses.values())))
        train(weighting, toy, range(step, step + 1))
    assert all(bool(torch.isfinite(value).all()) for value in [*weighting.parameters(), *weighting.buffers()])


@every_weighting
def test_every_task_is_better_after_training(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting, toy = make(cls, kwargs), Toy()
    before = toy.losses()
    train(weighting, toy, range(12))
    assert sum(x.item() for x in toy.losses().values()) < sum(x.item() for x in before.values())


@every_weighting
def test_the_same_again_gives_the_same_bits(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    runs = []
    for _ in range(2):
        weighting, toy = make(cls, kwargs), Toy()
        runs.append((train(weighting, toy, range(12)), toy.shared.tolist()))
        torch.rand(5)
    assert runs[0] == runs[1]


@every_weighting
def test_goes_on_from_its_state_dict_as_if_uninterrupted(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    whole, toy = make(cls, kwargs), Toy()
    expected = train(whole, toy, range(12))
    first, halfway = make(cls, kwargs), Toy()
    start = train(first, halfway, range(7))
    torch.manual_seed(77)  # another process would have another seed
    second = cls(**kwargs)
    second.build(TASKS, regression=["depth"])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert start + train(second, halfway, range(7, 12)) == expected
    assert halfway.shared.tolist() == toy.shared.tolist()


@every_weighting
def test_the_order_in_which_losses_come_does_not_matter(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting, losses = make(cls, kwargs), Toy().losses()
    turned = dict(reversed(losses.items()))
    assert weighting(losses, progress=0.0).item() == weighting(turned, progress=0.0).item()


@every_weighting
def test_half_precision_is_lifted(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    losses = {name: loss.bfloat16() for name, loss in Toy().losses().items()}
    with torch.autocast("cpu", torch.bfloat16):
        value = make(cls, kwargs)(losses, progress=0.0)
    lifted = make(cls, kwargs)({name: loss.float() for name, loss in losses.items()}, progress=0.0)
    assert value.dtype == torch.float32 and value.item() == lifted.item()


@every_weighting
def test_other_tasks_are_refused_with_key_and_remedy(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting, losses = make(cls, kwargs), Toy().losses()
    for wrong in ({**losses, "pose": losses["mask"]}, {"class": losses["class"]}, {}):
        with pytest.raises(ConfigError, match=r"key: weighting(.|\n)*remedy"):
            weighting(wrong, progress=0.0)
    for names in ([], ["a", "a"]):
        with pytest.raises(ConfigError, match=r"key: tasks(.|\n)*remedy"):
            weighting.build(names)


@every_weighting
def test_building_again_keeps_what_was_learnt(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting, toy = make(cls, kwargs), Toy()
    train(weighting, toy, range(9))
    before = copy.deepcopy(weighting.state_dict())
    weighting.build(TASKS, regression=["depth"])
    for name, value in weighting.state_dict().items():
        assert torch.equal(before[name], value) if isinstance(value, Tensor) else before[name] == value


@every_weighting
def test_configuration_round_trip(cls: type[Weighting], kwargs: dict[str, Any]) -> None:
    weighting = make(cls, kwargs)
    again = instantiate(config_of(weighting))
    assert type(again) is cls and fingerprint(again) == fingerprint(weighting)


OWN = """
from perceptransfer.weighting import Weighting


class Loudest(Weighting):
    def forward(self, losses, *, progress):
        return losses.max() + 0.1 * losses.sum()
"""


def test_a_users_own_by_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_own_weighting.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_own_weighting", raising=False)
    weighting = instantiate({"class_path": "users_own_weighting.Loudest"})
    weighting.build(TASKS)
    losses = {"class": torch.tensor(1.0), "depth": torch.tensor(4.0), "mask": torch.tensor(2.0)}
    assert weighting(losses, progress=0.0).item() == pytest.approx(4.7)
    assert "Loudest" not in weightings() and len(fingerprint(weighting)) == 64
