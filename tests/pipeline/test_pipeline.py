"""The pipeline and the five traps of a content-addressed store."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest
import torch

from perceptransfer.alignment import CORAL, MCC, MMD, InformationMaximization, Sum
from perceptransfer.core.checkpoint import Checkpoint
from perceptransfer.core.config import evolve
from perceptransfer.core.errors import ConfigError, TestDomainError
from perceptransfer.core.ledger import Ledger
from perceptransfer.core.phase import phase
from perceptransfer.learning import Runtime
from perceptransfer.pipeline import Pipeline, Store, evaluate
from perceptransfer.stages import Align, Finetune, Pretrain, SelfTrain, Specialize
from tests.tiny import tiny_data, tiny_pipeline

CPU = Runtime(accelerator="cpu")


@pytest.fixture(scope="module")
def data():
    return tiny_data()


def bits(store: Store, key: str) -> str:
    return store.get(key).checkpoint.state_hash()


def test_all_stages_run_are_stored_and_are_recorded(data, tmp_path: Path) -> None:
    store, ledger = Store(tmp_path / "store"), Ledger(tmp_path / "ledger.jsonl")
    result = tiny_pipeline().run(data, store=store, ledger=ledger, runtime=CPU)
    stages = ["pretrain", "align", "self_train", "finetune", "specialize"]
    assert list(result.keys) == list(result.evaluations) == stages
    assert sorted(store.keys()) == sorted(result.keys.values())
    rows = ledger.rows()
    assert ledger.verify() == len(rows) == 1 + 2 * len(stages)
    first = rows[0]["data_description"]
    assert first["ranges"]["synthetic"]["rotation"] and first["domains"]["test"]["fingerprint"]
    stage = rows[1]
    assert {"config", "identity", "domains", "seed", "machine", "seconds", "weights", "parent"} <= stage.keys()
    assert rows[-1]["test_reads"] == len(stages)


def test_a_second_run_trains_nothing_and_gives_the_same_weights(data, tmp_path: Path) -> None:
    store, ledger = Store(tmp_path / "store"), Ledger(tmp_path / "l")
    first = tiny_pipeline().run(data, store=store, ledger=ledger, runtime=CPU)
    second = tiny_pipeline().run(data, store=store, ledger=ledger, runtime=CPU)
    assert first.checkpoint.state_hash() == second.checkpoint.state_hash()
    assert sum(row["kind"] == "stage" for row in ledger.rows()) == 5


def test_equal_seeds_give_bit_equal_checkpoints_and_a_fork_equals_an_uninterrupted_run(data, tmp_path: Path) -> None:
    whole, forked = Store(tmp_path / "whole"), Store(tmp_path / "forked")
    result = tiny_pipeline().run(data, store=whole, runtime=CPU)
    tiny_pipeline(finetune=None, specialize=None).run(data, store=forked, runtime=CPU)
    torch.rand(17)  # another process would stand elsewhere in the global random sequence
    tiny_pipeline().run(data, store=forked, runtime=CPU)
    for key in result.keys.values():
        assert bits(whole, key) == bits(forked, key)


def test_another_seed_gives_other_weights(data, tmp_path: Path) -> None:
    store = Store(tmp_path)
    only = {"align": None, "self_train": None, "finetune": None, "specialize": None}
    hashes = {tiny_pipeline(**only).run(data, seed=s, store=store, runtime=CPU).checkpoint.state_hash() for s in (0, 1)}
    assert len(hashes) == 2


def keys_of(pipeline: Pipeline, data, seed: int = 0, fraction: float = 0.2) -> dict[str, str]:
    return {planned.name: planned.key for planned in pipeline.plan(data.prepare(seed, fraction), seed)}


def test_only_finetuning_and_what_follows_moves_with_the_fraction(data) -> None:
    few, many = keys_of(tiny_pipeline(), data, fraction=0.2), keys_of(tiny_pipeline(), data, fraction=0.5)
    assert {name for name in few if few[name] != many[name]} == {"finetune", "specialize"}


def test_keys_do_not_move_with_where_it_runs(data, tmp_path: Path) -> None:
    store = Store(tmp_path)
    short = tiny_pipeline(align=None, self_train=None, finetune=None, specialize=None)
    first = short.run(data, store=store, runtime=CPU)
    again = short.run(data, store=Store(tmp_path / "b"), runtime=Runtime(accelerator="cpu", workers=1))
    assert first.keys == again.keys and first.checkpoint.state_hash() == again.checkpoint.state_hash()


@pytest.mark.parametrize(
    ("stage", "changed"),
    [
        ("pretrain", Pretrain(steps=7, batch_size=16)),
        ("pretrain", Pretrain(steps=6, batch_size=15)),
        ("pretrain", Pretrain(steps=6, batch_size=16, lr=2e-3)),
        ("pretrain", Pretrain(steps=6, batch_size=16, precision="bf16-mixed")),
        ("align", Align(steps=3, batch_size=16, loss=MMD())),
        ("align", Align(steps=3, batch_size=16, loss=MCC(temperature=3.0))),
        ("align", Align(steps=3, batch_size=16, norm="per_domain")),
    ],
)
def test_keys_move_with_all_that_changes_weights(data, stage: str, changed: Pretrain | Align) -> None:
    before, after = keys_of(tiny_pipeline(), data), keys_of(tiny_pipeline(**{stage: changed}), data)
    names = list(before)
    assert [before[name] == after[name] for name in names] == [names.index(name) < names.index(stage) for name in names]


def test_an_edited_loss_of_the_user_is_another_stage(data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        "from perceptransfer.alignment import AlignmentLoss\n"
        "class Mine(AlignmentLoss):\n"
        "    def forward(self, source, target, *, progress):\n"
        "        return FACTOR * (source.pooled.mean(0) - target.pooled.mean(0)).square().sum()\n"
    )
    keys = []
    for factor in ("1.0", "2.0"):
        (tmp_path / "users_loss.py").write_text(text.replace("FACTOR", factor))
        importlib.invalidate_caches()
        sys.modules.pop("users_loss", None)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        loss = importlib.import_module("users_loss").Mine()
        keys.append(keys_of(tiny_pipeline(align=Align(steps=3, loss=loss)), data)["align"])
    assert keys[0] != keys[1]


def test_five_fractions_and_four_losses_need_24_stages_and_not_55(data) -> None:
    keys, fits = set(), 0
    for align in (Align(loss=MCC()), Align(loss=MMD()), Align(loss=CORAL()), None):
        for fraction in (0.12, 0.15, 0.3, 0.5, 1.0):
            pipeline = tiny_pipeline(align=align, self_train=None, specialize=None)
            plan = pipeline.plan(data.prepare(0, fraction), 0)
            keys |= {planned.key for planned in plan}
            fits += len(plan)
    assert (fits, len(keys)) == (55, 24)


def test_a_damaged_entry_is_made_again_with_the_same_bits(data, tmp_path: Path) -> None:
    store = Store(tmp_path)
    short = tiny_pipeline(align=None, self_train=None, specialize=None)
    first = short.run(data, store=store, runtime=CPU)
    weights = store.path(first.keys["pretrain"]) / "checkpoint.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    again = short.run(data, store=store, runtime=CPU)
    assert bits(store, first.keys["pretrain"]) == bits(Store(tmp_path), again.keys["pretrain"])
    assert again.checkpoint.state_hash() == first.checkpoint.state_hash()


def test_without_labels_finetuning_is_skipped(data) -> None:
    assert "finetune" not in keys_of(tiny_pipeline(), data, fraction=0.0)


@pytest.mark.parametrize("outer", ["training", "selection"])
def test_a_model_cannot_be_scored_from_within_training(data, tmp_path: Path, outer: str) -> None:
    domains = data.prepare(0)
    checkpoint = tiny_pipeline().run(data, store=Store(tmp_path), runtime=CPU, evaluate_stages=False).checkpoint
    with pytest.raises(TestDomainError), phase(outer):  # type: ignore[arg-type]
        evaluate(checkpoint, domains)
    assert domains["test"].reads == 0


def test_the_evaluation_agrees_with_a_count_by_hand(data, tmp_path: Path) -> None:
    result = tiny_pipeline().run(data, store=Store(tmp_path), runtime=CPU)
    last = result.evaluations["specialize"]
    right = last.correct.count("1")
    assert last.n_test == len(last.correct) == sum(map(sum, last.confusion))
    assert last.score == pytest.approx(right / last.n_test)
    assert sum(row[i] for i, row in enumerate(last.confusion)) == right


def test_the_report_of_a_run(data, tmp_path: Path) -> None:
    result = tiny_pipeline().run(data, store=Store(tmp_path), runtime=CPU)
    report, last = result.report, result.evaluations["specialize"]
    assert report.scores["real"].value == pytest.approx(last.score)
    assert report.scores["source_only"].value == pytest.approx(result.evaluations["pretrain"].score)
    assert report.transfer["absolute_gap"].value == pytest.approx(last.score - last.score_synthetic)
    assert report.transfer["transfer_ratio"].value is None and "real_only" in report.transfer["transfer_ratio"].reason
    assert "absolute_gap" in str(report)


def test_no_stage_and_equal_task_names_are_refused(data, tmp_path: Path) -> None:
    none = tiny_pipeline(pretrain=None, align=None, self_train=None, finetune=None, specialize=None)
    with pytest.raises(ConfigError, match="no stage"):
        none.run(data, store=Store(tmp_path), runtime=CPU)
    with pytest.raises(ConfigError, match="distinct names"):
        evolve(none, tasks=[*none.tasks, *none.tasks])


def test_what_a_run_hands_on_can_be_saved_and_scored_again(data, tmp_path: Path) -> None:
    result = tiny_pipeline().run(data, store=Store(tmp_path / "s"), runtime=CPU)
    result.checkpoint.save(tmp_path / "c.safetensors")
    again = evaluate(Checkpoint.load(tmp_path / "c.safetensors"), data.prepare(0))
    assert again == result.evaluations["specialize"]


def test_a_missing_part_is_named() -> None:
    pipeline = tiny_pipeline(self_train=None)
    assert isinstance(pipeline.part(Finetune), Finetune)
    with pytest.raises(ConfigError, match=r"pipeline\.self_train"):
        pipeline.part(SelfTrain)


def test_a_validator_that_measures_what_a_stage_trains_on_is_refused() -> None:
    align = Align(steps=3, batch_size=16, loss=Sum([MMD(), InformationMaximization()]))
    with pytest.raises(ConfigError, match="InformationMaximization was trained on"):
        tiny_pipeline(align=align, specialize=Specialize(validator="im"))
    tiny_pipeline(align=align, specialize=Specialize(validator="class_ami"))
