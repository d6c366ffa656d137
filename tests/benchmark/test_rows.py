from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perceptransfer.benchmark.rows import Row, append_rows, read_rows, row_from_json, row_to_json
from perceptransfer.core.errors import DataError, OutputError

SMALL = Row(
    arm="I", fraction=0.01, n_real=10, n_val=2, seed=3, metric="accuracy", direction="higher", score=0.5, correct="10"
)


def test_labels_spent_include_validation():
    assert SMALL.n_labels == 12


@given(
    arm=st.text(min_size=1),
    fraction=st.floats(0, 1),
    seed=st.integers(0, 2**31),
    score=st.floats(allow_nan=False, allow_infinity=False),
    report=st.dictionaries(st.text(), st.lists(st.integers() | st.none() | st.text())),
)
def test_json_and_back(arm, fraction, seed, score, report):
    row = dataclasses.replace(SMALL, arm=arm, fraction=fraction, seed=seed, score=score, report=report)
    line = row_to_json(row)
    assert "\n" not in line
    assert row_from_json(line) == row


def test_unknown_fields_survive():
    line = json.dumps({**json.loads(row_to_json(SMALL)), "render_seconds": 4})
    row = row_from_json(line)
    assert row.extra == {"render_seconds": 4}
    assert json.loads(row_to_json(row))["render_seconds"] == 4


def test_an_error_row_has_no_score():
    row = dataclasses.replace(SMALL, score=None, correct=None, error="DivergedError: loss is NaN")
    assert row_from_json(row_to_json(row)) == row


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_not_written(score):
    with pytest.raises(DataError, match="cannot be written as JSON"):
        row_to_json(dataclasses.replace(SMALL, score=score))


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"arm": 3}, "arm"),
        ({"seed": True}, "seed"),
        ({"seed": None}, "seed"),
        ({"fraction": 1.5}, "fraction"),
        ({"direction": "up"}, "direction"),
        ({"score": "0.5"}, "score"),
        ({"score": None}, "score"),
        ({"error": "both"}, "score"),
        ({"correct": "1x"}, "correct"),
        ({"groups": ["a"]}, "groups"),
        ({"labels": [1, 2, 3]}, "labels"),
        ({"per_class": None}, "per_class"),
    ],
)
def test_a_damaged_field_is_named(change, key):
    line = json.dumps({**json.loads(row_to_json(SMALL)), **change})
    with pytest.raises(DataError) as caught:
        row_from_json(line, where="results.jsonl, line 7")
    assert caught.value.key == key
    assert "results.jsonl, line 7" in str(caught.value)
    assert caught.value.remedy


def test_a_missing_field_is_named():
    plain = json.loads(row_to_json(SMALL))
    del plain["metric"]
    with pytest.raises(DataError) as caught:
        row_from_json(json.dumps(plain))
    assert caught.value.key == "metric"


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"arm": NaN}', b"\xff{}"])
def test_what_is_no_object_is_refused(line):
    with pytest.raises(DataError):
        row_from_json(line)


def test_written_rows_are_read(tmp_path, make_rows):
    path = tmp_path / "deep" / "results.jsonl"
    rows = make_rows(arms=["D", "I"], fractions=[0.0, 0.1], seeds=2)
    append_rows(path, rows[:3])
    append_rows(path, rows[3:])
    assert read_rows(path) == rows


@given(cut=st.integers(0, 10_000))
def test_a_file_cut_anywhere_gives_the_rows_that_were_complete(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "results.jsonl"
    rows = [dataclasses.replace(SMALL, seed=seed, report={"note": "ünïcode"}) for seed in range(4)]
    lines = [(row_to_json(row) + "\n").encode() for row in rows]
    whole = b"".join(lines)
    cut %= len(whole) + 1
    path.write_bytes(whole[:cut])
    # A line that lacks nothing but its newline is complete.
    complete = sum(len(b"".join(lines[: k + 1])) - 1 <= cut for k in range(4))
    assert read_rows(path) == rows[:complete]
    append_rows(path, rows[complete:])
    assert read_rows(path) == rows


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    append_rows(path, [SMALL, SMALL, SMALL])
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:-9]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="line 2"):
        read_rows(path)


def test_a_damaged_last_line_with_its_newline_is_no_torn_line(tmp_path):
    path = tmp_path / "results.jsonl"
    append_rows(path, [SMALL])
    path.write_text(path.read_text() + '{"arm": \n')
    with pytest.raises(DataError, match="line 2"):
        read_rows(path)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        read_rows(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        append_rows(tmp_path / "file" / "results.jsonl", [SMALL])
    assert caught.value.remedy
