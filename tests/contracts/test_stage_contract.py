"""What every stage must keep, over all that exist."""

from __future__ import annotations

import pytest
import torch

from perceptransfer.core.config import config_of, fingerprint, instantiate
from perceptransfer.core.errors import ConfigError, DataError, DivergedError, TestDomainError
from perceptransfer.core.phase import current_phase
from perceptransfer.data import Domain
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain, Specialize, Stage
from tests.tiny import CPU, tiny_data, tiny_start

STAGES = {
    "pretrain": Pretrain(steps=4, batch_size=16),
    "pretrain with moving average": Pretrain(steps=4, batch_size=16, ema_decay=0.9),
    "real-only": Pretrain(steps=3, batch_size=8, roles=["labeled"]),
    "mix": Pretrain(steps=3, batch_size=8, roles=["synthetic", "labeled"]),
    "align": Align(steps=3, batch_size=16),
    "align per domain": Align(steps=3, batch_size=16, norm="per_domain", ema_decay=0.9),
    "self_train": SelfTrain(rounds=2, steps=2, batch_size=16),
    "finetune": Finetune(steps=3, batch_size=8),
    "finetune first": Finetune(steps=3, batch_size=8, tune="first"),
    "finetune head": Finetune(steps=3, batch_size=8, tune="head", ema_decay=0.9),
    "finetune norm": Finetune(steps=3, batch_size=8, tune="norm"),
    "finetune lora": Finetune(steps=3, batch_size=8, lora_rank=2),
    "finetune lora with moving average": Finetune(steps=3, batch_size=8, lora_rank=2, ema_decay=0.9),
    "finetune with everything": Finetune(steps=6, head_steps=2, rounds=2, replay_weight=1, pseudo_weight=1),
    "specialize": Specialize(batch_size=32, rollback=False),
}


@pytest.fixture(scope="module")
def domains():
    return tiny_data().prepare(0)


@pytest.fixture(scope="module")
def start(domains):
    return tiny_start(domains)


def given(stage: Stage, domains) -> dict[str, Domain]:
    return {role: domains[role] for role in stage.reads}


def test_every_stage_class_is_covered() -> None:
    assert {type(stage) for stage in STAGES.values()} == set(Stage.__subclasses__())


@pytest.mark.parametrize("name", STAGES)
class TestContract:
    def test_equal_seeds_give_equal_bits_and_the_architectures_own_names(self, name, domains, start) -> None:
        stage, parent = STAGES[name], start.checkpoint
        before = parent.state_hash()
        one = stage.run(parent, given(stage, domains), seed=5, runtime=CPU).checkpoint
        torch.rand(3)
        two = stage.run(parent, given(stage, domains), seed=5, runtime=CPU).checkpoint
        assert one.state_hash() == two.state_hash() != before
        assert one.state.keys() == parent.state.keys() and one.model == parent.model
        assert parent.state_hash() == before, "the incoming checkpoint was changed"
        assert current_phase() == "idle"
        assert all(bool(torch.isfinite(tensor).all()) for tensor in one.state.values() if tensor.is_floating_point())

    def test_the_test_domain_is_refused(self, name, domains, start) -> None:
        stage = STAGES[name]
        for role in stage.reads:
            with pytest.raises(TestDomainError):
                stage.run(start.checkpoint, {**given(stage, domains), role: domains["test"]}, seed=0, runtime=CPU)
        assert domains["test"].reads == 0 and "test" not in stage.reads

    def test_a_missing_domain_is_named(self, name, domains, start) -> None:
        stage = STAGES[name]
        with pytest.raises(DataError, match=stage.requires[0]):
            stage.run(start.checkpoint, {}, seed=0, runtime=CPU)

    def test_configuration_round_trip(self, name, domains, start) -> None:
        stage = STAGES[name]
        assert fingerprint(instantiate(config_of(stage))) == fingerprint(stage)


@pytest.mark.parametrize("kind", [Pretrain, Align, SelfTrain, Finetune])
@pytest.mark.parametrize("key", ["steps", "batch_size", "lr"])
def test_numbers_out_of_range_name_their_key(kind: type[Stage], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{kind.name}\.{key}"):
        kind(**{key: 0})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pretrain(roles=["test"]),
        lambda: Pretrain(roles=[]),
        lambda: SelfTrain(keep=(0.9, 0.5)),
        lambda: SelfTrain(threshold=1.5),
        lambda: Finetune(steps=3, head_steps=4),
        lambda: Finetune(lora_rank=2, tune="first"),
        lambda: Specialize(validator="accuracy"),
        lambda: Specialize(alpha=2),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make) -> None:
    with pytest.raises(ConfigError):
        make()


def test_a_loss_that_becomes_nan_stops_the_stage(domains, start) -> None:
    stage = Pretrain(steps=20, batch_size=16, lr=1e30)
    with pytest.raises(DivergedError, match=r"pretrain\.lr"):
        stage.run(start.checkpoint, given(stage, domains), seed=0, runtime=CPU)
