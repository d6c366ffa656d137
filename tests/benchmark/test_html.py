from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from perceptransfer.benchmark import panels
from perceptransfer.benchmark.description import RunDescription, Samples
from perceptransfer.benchmark.report import write_report
from perceptransfer.benchmark.rows import append_rows
from perceptransfer.benchmark.summary import summarise
from perceptransfer.core.errors import DataError, OutputError
from tests.page import Page

RUN = RunDescription(
    command="perceptransfer benchmark --config digits.yaml",
    config="grid:\n  fractions: [0, 0.01]\n# <b>&</b>",
    arms={"A": "real only", "D": "synthetic only", "I": "the whole pipeline"},
    data={
        "name": "Rendered to real digits",
        "domains": {
            "test": {"images": 797, "fingerprint": "0f" * 32},
            "synthetic": {"images": 6, "per_class": {"0": 6}},
        },
        "ranges": {"synthetic": {"rotation": [-15, 15]}},
        "quarantined": {"real": [{"file": "a.png"}] * 60},
    },
    hardware={"cores": 2, "gpus": []},
    versions={"torch": "2.9"},
    date="2026-01-02",
    test_reads=7,
    minutes_per_label={"class": 0.1},
)


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    return Samples(synthetic=images, real=images[:3], synthetic_names=["0", "1", "<2>", "3", "4"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_rows, make_row, samples):
    folder = tmp_path_factory.mktemp("report")
    rows = make_rows(arms=["A", "D", "I"], fractions=[0.0, 0.01, 1.0], seeds=2)
    rows += [make_row("F", 0.01, 0, score=None, correct=None, error="ImageError: <script>alert(1)</script>")]
    append_rows(folder / "results.jsonl", rows)
    samples.save(folder / "samples.npz")
    write_report(folder, RUN)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text())


def test_all_files_are_written_and_returned(folder):
    names = {"summary.json", "table.md", "curve.png", "report.html"}
    assert {path.name for path in write_report(folder)} == names
    left = {path.name for path in folder.iterdir()}
    assert left == names | {"results.jsonl", "run.json", "samples.npz"}


def test_equal_rows_give_an_equal_summary(folder, tmp_path):
    lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(reversed(lines)))
    write_report(tmp_path, dataclasses.replace(RUN, date="2030-01-01", test_reads=9))
    assert (tmp_path / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()


def test_the_page_loads_nothing_from_outside(page, folder):
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "object", "base"}
        assert not attributes.keys() & {"href", "srcset", "background"}
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
    text = (folder / "report.html").read_text()
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_tells_the_run(page, folder):
    summary = json.loads((folder / "summary.json").read_text())["tasks"]["class"]
    whole = summary["arms"]["I"]["points"][0]
    for said in (
        f"{100 * whole['score']['value']:.1f}\u00a0%",
        f"{whole['ratio']['value']:.3f}",
        RUN.data["name"],
        RUN.command,
        "fractions: [0, 0.01]",
        "test reads 7",
        "0f0f0f0f0f0f0f0f",
        "rotation",
        "and 10 more",
        "torch",
        "the whole pipeline",
        "Difference from D",
        "round 3",
        "class_ami",
    ):
        assert " ".join(said.split()) in page.text


def test_text_of_the_run_is_not_markup(page):
    assert "ImageError: <script>alert(1)</script>" in page.text
    assert "# <b>&</b>" in page.text


def test_store_keys_are_listed(page, folder):
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert all(key[:16] in page.text for row in rows for key in row["keys"])


def test_images_are_the_curve_and_the_samples(page):
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 1 + 5 + 3
    assert "<2>" in page.text


def test_no_samples_no_sheet(folder, tmp_path):
    (tmp_path / "results.jsonl").write_bytes((folder / "results.jsonl").read_bytes())
    write_report(tmp_path, RUN)
    page = Page((tmp_path / "report.html").read_text())
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert "Samples" not in page.text


def test_two_tasks_have_two_curves(make_rows, tmp_path):
    rows = make_rows(arms=["A", "D"], fractions=[0.0, 1.0], seeds=1)
    depth = [dataclasses.replace(row, task="depth", metric="absrel", direction="lower", correct=None) for row in rows]
    append_rows(tmp_path / "results.jsonl", rows + depth)
    names = {path.name for path in write_report(tmp_path, RUN)}
    assert {"curve.png", "curve-depth.png"} <= names
    assert "absrel, lower is better" in Page((tmp_path / "report.html").read_text()).text


def test_a_run_of_failures_is_still_reported(make_row, tmp_path):
    rows = [make_row(arm, 0.0, 0, score=None, correct=None, confusion=None, error="boom") for arm in ("D", "I")]
    append_rows(tmp_path / "results.jsonl", rows)
    write_report(tmp_path, RUN)
    assert "2 failed cells" in Page((tmp_path / "report.html").read_text()).text


def test_confusion_is_in_shares_of_the_true_class(make_row):
    rows = [make_row("I", 0.0, seed, confusion=[[3, 1], [0, 0]], per_class={"a": 0.75, "b": None}) for seed in (0, 1)]
    panel = panels.confusion(rows, "I", 0.0)
    assert [[cell["text"] for cell in row] for row in panel["body"]] == [["75", "25"], ["", ""]]
    assert panel["body"][0][1]["title"] == "true a, predicted b: 2 (25.0 %)"
    assert panels.confusion(rows, "I", 0.5) is None


def test_key_numbers_without_a_value_are_left_out(make_rows):
    def labels(fractions):
        rows = make_rows(arms=["A", "D", "I"], fractions=fractions, seeds=2)
        return [card["label"] for card in panels.key_numbers(summarise(rows)["tasks"]["class"])]

    assert labels([0.0]) == ["accuracy, no real labels"]
    assert len(labels([0.0, 0.01, 1.0])) == 5


def test_evidence_is_the_mean_over_seeds(make_row):
    def report(kept, distance):
        prior = {"target": {"a": kept}, "source": {"a": 0.5}, "total_variation": distance}
        return {"self_train": {"rounds": [{"kept_per_class": {"a": kept, "b": None}}]}, "align": {"prior": prior}}

    rows = [make_row("I", 0.0, 0, report=report(0.2, 0.1)), make_row("I", 0.0, 1, report=report(0.4, 0.3))]
    found = panels.evidence(rows, "I", 0.0)
    assert found["kept"] == [{"a": pytest.approx(0.3), "b": None}]
    assert found["prior"]["target"]["a"] == pytest.approx(0.3)
    assert found["distance"] == pytest.approx(0.2)
    assert panels.evidence(rows, "D", 0.0)["kept"] == []


def test_alarms_are_gathered_over_seeds(make_row):
    loud = {"align": {"prior": {"alarm": True}}, "specialize": {"rolled_back": True}, "self_train": {"alarms": ["x"]}}
    quiet = {"align": {"prior": {"alarm": None, "reason": "no held-out images"}}}
    rows = [make_row("I", f, s, report=loud) for f in (0.0, 0.1) for s in (1, 0)] + [
        make_row("G", 0.0, 0, report=quiet)
    ]
    assert panels.alarms(rows) == [
        "I, align: class balance of the real images differs from the synthetic one (seeds 0, 1)",
        "I, self_train: x (seeds 0, 1)",
        "I, specialize: AdaBN was taken back: the validator fell (seeds 0, 1)",
    ]


def test_samples_and_description_read_back(tmp_path, samples):
    samples.save(tmp_path / "samples.npz")
    back = Samples.load(tmp_path / "samples.npz")
    assert np.array_equal(back.synthetic, samples.synthetic)
    assert list(back.synthetic_names) == list(samples.synthetic_names)
    RUN.save(tmp_path / "run.json")
    assert RunDescription.load(tmp_path / "run.json") == RUN


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("results.jsonl", ""),
        ("results.jsonl", "damaged\n"),
        ("run.json", "{"),
        ("run.json", '{"unknown": 1}'),
        ("samples.npz", "no archive"),
    ],
)
def test_damaged_input_is_named_and_nothing_is_replaced(folder, tmp_path, file, content):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_text(content)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError) as caught:
        write_report(tmp_path)
    assert file in str(caught.value)
    assert caught.value.remedy
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_images_of_another_shape_are_refused(tmp_path, samples):
    with pytest.raises(DataError, match=r"uint8 \[n, H, W, 3\]"):
        dataclasses.replace(samples, real=samples.real[..., 0]).save(tmp_path / "samples.npz")


def test_an_output_that_cannot_be_written_is_an_output_error(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "report.html").unlink()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html"):
        write_report(tmp_path)
