from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from perceptransfer.benchmark.figures import curve_figure, draw_curve
from perceptransfer.benchmark.rows import Row
from perceptransfer.benchmark.styles import KEY_ARMS, arm_styles
from perceptransfer.benchmark.summary import summarise

# Machado et al., "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.fixture(scope="module")
def task(make_rows):
    return summarise(make_rows(fractions=[0.0, 0.01, 0.1, 1.0], seeds=2))["tasks"]["class"]


def lines(axes, colour):
    return [line for line in axes.get_lines() if line.get_color() == colour and line.get_marker() not in ("None", "")]


def scores(task, arm):
    return [(item["labels"], item["score"]["value"]) for item in task["arms"][arm]["points"]]


def test_png_of_readme_width(task):
    image = Image.open(io.BytesIO(draw_curve(task, {"I": "all"}, "digits")))
    assert image.format == "PNG"
    assert image.width >= 1600
    assert np.asarray(image).std() > 0


def test_equal_summaries_give_equal_pictures(task):
    assert draw_curve(task, {}, "digits") == draw_curve(task, {}, "digits")


def test_zero_labels_are_a_point_beside_the_log_axis(task):
    zero, rest = curve_figure(task, {}, "digits").axes
    assert rest.get_xscale() == "log"
    assert zero.get_xscale() == "linear"
    assert [label.get_text().split("\n")[0] for label in rest.get_xticklabels()] == ["10", "100", "1000"]
    measured = dict(scores(task, "I"))
    (point,) = lines(zero, KEY_ARMS["I"])
    assert point.get_ydata() == [measured[0]]
    (curve,) = lines(rest, KEY_ARMS["I"])
    assert dict(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == {n: measured[n] for n in (10, 100, 1000)}


def test_intervals_are_bands(task):
    _, rest = curve_figure(task, {}, "digits").axes
    band = next(patch for patch in rest.collections if np.allclose(patch.get_facecolor()[0][:3], to_rgb(KEY_ARMS["I"])))
    corners = {tuple(np.round(corner, 9)) for corner in band.get_paths()[0].vertices}
    for item in task["arms"]["I"]["points"][1:]:
        for end in ("low", "high"):
            assert tuple(np.round((item["labels"], item["score"][end]), 9)) in corners


def test_the_oracle_is_a_dashed_line_with_its_score(task):
    _, rest = curve_figure(task, {}, "digits").axes
    oracle = task["oracle"]["score"]["value"]
    assert any(list(line.get_ydata()) == [oracle, oracle] for line in rest.get_lines())
    assert any(f"{100 * oracle:.1f}" in words.get_text() for words in rest.texts)


def test_the_story_is_emphasised_and_all_arms_are_named(task):
    styles = arm_styles(task["arms"])
    assert {name for name, style in styles.items() if style.key} == {"A", "D", "F", "I"}
    assert min(styles[name].width for name in "ADFI") > 2 * max(styles[name].width for name in ("E", "G", "H"))
    (legend,) = curve_figure(task, {"I": "everything"}, "digits").legends
    words = [entry.get_text() for entry in legend.get_texts()]
    assert sorted(word.split()[0] for word in words) == sorted(task["arms"])
    assert words[0] == "I  everything"


def test_key_arms_are_told_apart_with_any_colour_vision():
    for matrix in (np.eye(3), *map(np.array, DEFICIENCIES.values())):
        seen = [np.clip(matrix @ np.array(to_rgb(colour)) ** 2.2, 0, 1) ** (1 / 2.2) for colour in KEY_ARMS.values()]
        assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 0.12
    markers = [style.marker for style in arm_styles(KEY_ARMS).values()]
    assert len(set(markers)) == len(markers)


def test_a_failed_cell_is_a_gap_in_the_line(make_rows, make_row):
    rows = [row for row in make_rows(arms=["A", "I"], fractions=[0.01, 0.1, 1.0], seeds=2) if row.fraction != 0.1]
    rows += [make_row("I", 0.1, seed, score=None, correct=None, error="x") for seed in range(2)]
    _, rest = curve_figure(summarise(rows)["tasks"]["class"], {}, "digits").axes
    (curve,) = lines(rest, KEY_ARMS["I"])
    assert np.isnan(curve.get_ydata()).tolist() == [False, True, False]


def test_lower_is_better_without_oracle_and_with_one_seed():
    rows = [
        Row(arm=arm, fraction=f, n_real=round(1000 * f), seed=0, metric="absrel", direction="lower", score=0.5 - f)
        for arm, f in (("D", 0.0), ("I", 0.0), ("I", 0.1))
    ]
    figure = curve_figure(summarise(rows)["tasks"]["class"], {}, "depth")
    assert figure.axes[0].get_ylabel() == "absrel on the real test"
    assert len(lines(figure.axes[1], KEY_ARMS["I"])) == 1


def test_two_shares_with_one_number_of_labels_share_a_tick():
    rows = [
        Row(arm="A", fraction=f, n_real=n, seed=0, metric="accuracy", direction="higher", score=0.5)
        for f, n in ((0.005, 10), (0.01, 10), (0.1, 100))
    ]
    _, rest = curve_figure(summarise(rows)["tasks"]["class"], {}, "digits").axes
    assert [label.get_text() for label in rest.get_xticklabels()] == ["10\n0.5-1\u00a0%", "100\n10\u00a0%"]
