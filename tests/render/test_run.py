"""Rendering to disk: interrupted anywhere and continued, a set is byte for byte that of an uninterrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptransfer.core.config import fingerprint
from perceptransfer.core.errors import ConfigError, OutputError, RenderError
from perceptransfer.core.files import sha256_file
from perceptransfer.data import Annotated
from perceptransfer.data.manifest import Manifest
from perceptransfer.render import run
from perceptransfer.render.engines import engine_identity
from perceptransfer.render.optics import Crops, Viewpoint
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.run import render
from perceptransfer.render.sensor import develop
from perceptransfer.render.surfaces import Backdrop
from perceptransfer.render.work import Job
from perceptransfer.render.writer import begin, is_complete, rows
from tests.scenes import small_table

ROOT = Path(__file__).parents[2]
FAST = {"smooth": False, "shadow_rays": 0}
COUNT = 10  # two whole scenes of four, and half a third


def tree(folder: Path) -> dict[str, str]:
    """Hash of every file by relative name, less the note of the engine."""
    found = {str(p.relative_to(folder)): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    about = json.loads((folder / "dataset.json").read_text())
    del about["rendering"]
    return {**found, "dataset.json": json.dumps(about)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted set."""
    folder = tmp_path_factory.mktemp("whole") / "set"
    assert render(small_table(), folder, COUNT, seed=5, options=FAST) == COUNT
    return folder


def test_the_layout_is_complete_and_true(whole: Path) -> None:
    about = json.loads((whole / "dataset.json").read_text())
    assert about["format"] == 1 and about["classes"] == ["ball", "block", "can", "pill"]
    assert about["mask_classes"] == ["background", "ball", "block", "can", "pill"]
    assert len(about["keypoint_names"]) == len(about["keypoint_flip"]) == 9
    lines = [json.loads(line) for line in (whole / "annotations.jsonl").read_text().splitlines()]
    assert lines == list(rows(whole)) and [row["file"] for row in lines] == sorted(row["file"] for row in lines)
    assert [row["label"] for row in lines[:5]] == ["ball", "block", "can", "pill", "ball"]
    for row in lines:
        assert sha256_file(whole / row["file"]) == row["sha256"]
        assert {row[part] for part in row["hashes"]} < tree(whole).keys()
        image, mask, depth = (np.asarray(Image.open(whole / row[part])) for part in ("file", "mask", "depth"))
        assert image.shape == (24, 24, 3) and mask.dtype == np.uint8 and depth.dtype in (np.uint16, np.int32)
        target = next(it for it in row["objects"] if it["class"] == row["label"])
        assert target["visible_fraction"] >= 0.3
        metres = depth[mask == 1 + about["classes"].index(row["label"])] * row["depth_scale"]
        assert abs(metres.mean() - target["t"][2]) < 0.12
        normals = np.asarray(Image.open(whole / row["normals"])) / 127.5 - 1
        assert np.abs(np.linalg.norm(normals[depth > 0], axis=1) - 1).max() < 0.02
    manifest = Manifest.read(whole / "manifest.json")
    manifest.verify(whole)
    assert len(manifest.files) == COUNT and {it.group for it in manifest.files.values()} == {
        "scene 0",
        "scene 1",
        "scene 2",
    }


def test_what_is_stored_is_what_was_drawn(whole: Path) -> None:
    scene = small_table()
    for row in list(rows(whole))[:4]:
        plan = scene.plan_of(5, int(Path(row["file"]).stem), row["attempt"])
        (view,), (seen,) = plan.views, Raycaster(**FAST).render(plan)
        stored = {part: np.asarray(Image.open(whole / row[part])) for part in ("file", "instances", "depth", "normals")}
        np.testing.assert_array_equal(stored["file"], develop(seen.radiance, view.sensor))
        np.testing.assert_array_equal(stored["instances"], seen.instances)
        np.testing.assert_allclose(stored["depth"] * row["depth_scale"], seen.depth, atol=row["depth_scale"])
        np.testing.assert_allclose(stored["normals"] / 127.5 - 1, seen.normals, atol=1 / 127)


def test_the_set_is_read_for_training(whole: Path) -> None:
    images = Annotated(str(whole)).load((24, 24))
    assert list(images.classes) == ["ball", "block", "can", "pill"]
    mask, depth, points = (images.targets.arrays[key] for key in ("mask", "depth", "keypoints"))
    assert mask.shape == depth.shape == (COUNT, 24, 24) and points.shape == (COUNT, 8, 9, 3)
    for i, row in enumerate(rows(whole)):
        assert set(np.unique(mask[i])) <= {0, *(1 + images.classes.index(it["class"]) for it in row["objects"])}
        np.testing.assert_allclose(points[i, 0], row["keypoints"][0], atol=1e-3)
        assert depth[i][mask[i] > 0].min() > 0.1


def test_two_workers_that_are_replaced_after_every_scene_write_the_same(whole: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    render(
        small_table(), tmp_path / "s", COUNT, seed=5, workers=2, recycle=1, options=FAST,
        progress=lambda done, wanted, _: seen.append((done, wanted)),
    )  # fmt: skip
    assert tree(tmp_path / "s") == tree(whole)
    assert seen == [(i, COUNT) for i in range(1, COUNT + 1)]


def test_one_sample_alone_is_that_of_the_full_run(whole: Path, tmp_path: Path) -> None:
    assert render(small_table(), tmp_path / "s", COUNT, seed=5, only=6, options=FAST) == 1
    alone, full = tree(tmp_path / "s"), tree(whole)
    ours = {name for name in full if "000006" in name}
    assert len(ours) == 6 and {name for name in alone if "0000" in name} == ours
    assert all(alone[name] == full[name] for name in ours)


def test_a_hidden_object_is_drawn_again_in_another_scene_and_its_siblings_stay(tmp_path: Path) -> None:
    """Close together and seen from low, so that some are hidden."""
    both = {}
    for least in (0.0, 0.9):
        scene = small_table(
            viewpoint=Viewpoint([160, 120], [150.0, 150.0], elevation_deg=(8, 20)),
            crops=Crops([24, 24], min_visible_share=least),
            closeness=0.6,
            spread_m=0.06,
        )
        render(scene, tmp_path / str(least), 8, options=FAST)
        both[least] = list(rows(tmp_path / str(least)))
    again = [row["attempt"] > 0 for row in both[0.9]]
    assert any(again) and not all(again) and not any(row["attempt"] for row in both[0.0])
    for first, second, redone in zip(both[0.0], both[0.9], again, strict=True):
        shares = [
            next(it["visible_fraction"] for it in row["objects"] if it["class"] == row["label"])
            for row in (first, second)
        ]
        assert shares[1] >= 0.9 and (shares[0] < 0.9) == redone
        assert (first["sha256"] == second["sha256"]) == (not redone)


def test_a_larger_count_continues_and_damage_is_made_good(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    render(small_table(), folder, 3, seed=5, options=FAST)
    image = folder / "images" / "000001.png"
    image.write_bytes(image.read_bytes()[:100])  # half an image, as after a power cut
    (folder / "masks" / "000002.png").unlink()
    (folder / "labels" / "000000.json").write_text("{")
    (folder / "images" / ".000009.png.leftover").write_text("x")
    assert not any(is_complete(folder, k) for k in range(4))
    render(small_table(), folder, COUNT, seed=5, options=FAST)
    assert tree(folder) == tree(whole)


def test_another_scene_or_seed_does_not_mix(whole: Path, tmp_path: Path) -> None:
    for scene, seed in ((small_table(), 6), (small_table(size=32), 5)):
        with pytest.raises(ConfigError, match="another scene or seed"):
            render(scene, whole, COUNT, seed=seed)
    for how in ({"options": {**FAST, "smooth": True}}, {"engine": "tests.scenes.Slow", "options": {"seconds": 0}}):
        with pytest.raises(ConfigError, match="another scene or seed, engine"):
            render(small_table(), whole, COUNT, seed=5, **how)  # type: ignore[arg-type]
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="holds no set"):
        render(small_table(), tmp_path, 1)
    with pytest.raises(ConfigError, match="at least one"):
        render(small_table(), tmp_path / "new", 0)
    with pytest.raises(ConfigError, match="--recycle 1 or more"):
        render(small_table(), tmp_path / "new", 1, recycle=0)


def test_the_making_of_a_set_is_noted_and_is_no_part_of_its_identity(whole: Path, tmp_path: Path) -> None:
    about = json.loads((whole / "dataset.json").read_text())
    assert about["rendering"].items() >= {"engine": "raycast", "options": FAST}.items()
    for name in tree(whole):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(whole / name)
    (tmp_path / "dataset.json").unlink()
    del about["rendering"]
    (tmp_path / "dataset.json").write_text(json.dumps(about, indent=1) + "\n")
    assert fingerprint(Annotated(str(tmp_path))) == fingerprint(Annotated(str(whole)))


def test_options_that_change_no_picture_and_defaults_are_no_other_making() -> None:
    plain = engine_identity("blenderproc", {})
    assert plain == engine_identity("blenderproc", {"python": "blender", "recycle": 3, "limit_s": 9.0, "samples": 16})
    assert plain["options"] == {"samples": 16, "bounces": 2}


def test_files_of_a_scene_count_by_their_content_wherever_they_lie(whole: Path, tmp_path: Path) -> None:
    for place in ("a", "b", "c"):
        shutil.copytree(whole / "images", tmp_path / place)
    scenes = {place: small_table(backdrop=Backdrop(photos=str(tmp_path / place))) for place in ("a", "b", "c")}
    begin(tmp_path / "s", scenes["a"], 0)
    begin(tmp_path / "s", scenes["b"], 0)
    shutil.copyfile(tmp_path / "c" / "000001.png", tmp_path / "c" / "000002.png")
    with pytest.raises(ConfigError, match="file of the scene"):
        begin(tmp_path / "s", scenes["c"], 0)


def test_what_a_kill_left_beside_the_samples_neither_blocks_nor_stays(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / ".dataset.json.abc").write_text("{")
    render(small_table(), folder, 3, seed=5, options=FAST)
    for name in ("annotations.jsonl", "manifest.json", "statistics.json", "sheet.png", "coco.json"):
        (folder / f".{name}.x1").touch()
    (folder / ".bop.writing-x" / "train").mkdir(parents=True)
    (folder / ".own.notes").touch()
    render(small_table(), folder, COUNT, seed=5, options=FAST)
    assert tree(folder).keys() - tree(whole).keys() == {".own.notes"} and not (folder / ".bop.writing-x").exists()


def failing(how: str, flag: Path | None = None) -> dict[str, Any]:
    options = {"sample": 5, "how": how, "flag": None if flag is None else str(flag)}
    return {"engine": "tests.scenes.Failing", "options": options}


@pytest.mark.parametrize("how", ["kill", "memory", "break"])
def test_a_worker_that_dies_once_loses_nothing(whole: Path, tmp_path: Path, how: str) -> None:
    flag = tmp_path / "flag"
    render(small_table(), tmp_path / "s", COUNT, seed=5, workers=2, **failing(how, flag))
    assert flag.exists(), "nothing failed"
    assert tree(tmp_path / "s") == tree(whole)


def die_when_idle(monkeypatch: pytest.MonkeyPatch, which: set[int]) -> list[int]:
    """Let some of the workers, by number, die after they said that they are idle; grows with each worker started."""
    start, started = run._start, list[int]()

    def once(job: Job) -> run._Worker:
        one = start(job)
        if len(started) in which:
            assert one.pipe.poll(60)
            one.process.kill()
            one.process.join()
        started.append(len(started))
        return one

    monkeypatch.setattr(run, "_start", once)
    return started


def test_workers_that_die_between_samples_lose_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = die_when_idle(monkeypatch, {0, 2, 4})
    render(small_table(), tmp_path / "s", COUNT, seed=5, recycle=1, options=FAST)
    assert len(started) == 6 and tree(tmp_path / "s") == tree(whole)


def test_workers_that_all_die_before_a_sample_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = die_when_idle(monkeypatch, set(range(9)))
    with pytest.raises(RenderError, match="3 times before its first"):
        render(small_table(), tmp_path / "s", COUNT, seed=5, options=FAST)
    assert len(started) == 3


def test_a_worker_that_hangs_is_replaced(whole: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    render(small_table(), tmp_path / "s", COUNT, seed=5, patience_s=4.0, **failing("hang", flag))
    assert flag.exists() and tree(tmp_path / "s") == tree(whole)


@pytest.mark.parametrize(("how", "why"), [("kill", "exit code -9"), ("memory", "out of memory"), ("break", "broke")])
def test_a_scene_that_always_fails_is_named_and_the_rest_is_kept(tmp_path: Path, how: str, why: str) -> None:
    with pytest.raises(RenderError, match=f"failed 3 times at sample 5, seed 5: (.|\n)*{why}") as caught:
        render(small_table(), tmp_path / "s", COUNT, seed=5, **failing(how))
    assert "--only" in str(caught.value.remedy)
    assert [int(Path(row["file"]).stem) for row in rows(tmp_path / "s")] == [0, 1, 2, 3, 4]


def test_an_object_that_is_never_seen_ends_with_its_number(tmp_path: Path) -> None:
    scene = small_table(
        viewpoint=Viewpoint([64, 48], [60, 60], distance_m=0.05, elevation_deg=-80.0),  # from below the table
        crops=Crops([8, 8], min_visible_share=0.3),
    )
    with pytest.raises(RenderError, match="sample 0 of seed 0 shows too little") as caught:
        render(scene, tmp_path / "s", 1, options=FAST)
    assert caught.value.key == "min_visible_share"


PARENT = """
import sys
from pathlib import Path
from perceptransfer.render.optics import Crops, Viewpoint
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.run import render
from perceptransfer.render.sensor import develop
from tests.scenes import small_table
if __name__ == "__main__":
    render(small_table(), Path(sys.argv[1]), {count}, seed=5, workers=2, engine="tests.scenes.Slow",
           options={{"seconds": 0.15}})
"""


def test_a_killed_parent_leaves_a_set_that_is_continued(whole: Path, tmp_path: Path) -> None:
    script, folder = tmp_path / "parent.py", tmp_path / "s"
    script.write_text(PARENT.format(count=COUNT))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    parent = subprocess.Popen([sys.executable, str(script), str(folder)], env=env)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list((folder / "labels").glob("*.json"))) < 3:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    there = len(list(rows(folder)))
    assert 3 <= there < COUNT and not (folder / "annotations.jsonl").exists()
    render(small_table(), folder, COUNT, seed=5, engine="tests.scenes.Slow", options={"seconds": 0.0})
    # A worker that outlived its parent by one sample writes the same bytes, and its temporary file vanishes with it.
    time.sleep(0.5)
    assert tree(folder) == tree(whole)


FULL = """
import resource, sys
from pathlib import Path
from perceptransfer.core.errors import OutputError
from perceptransfer.render.optics import Crops, Viewpoint
from perceptransfer.render.raycast import Raycaster
from perceptransfer.render.run import render
from perceptransfer.render.sensor import develop
from tests.scenes import small_table
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))  # every larger file ends as on a full disk
    try:
        render(small_table(size=80), Path(sys.argv[1]), 4, options={"smooth": False})
    except OutputError as error:
        print(error)
        sys.exit(7)
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    script, folder = tmp_path / "full.py", tmp_path / "s"
    script.write_text(FULL)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run([sys.executable, str(script), str(folder)], env=env, capture_output=True, text=True)
    assert done.returncode == 7, done.stderr
    assert "cannot write" in done.stdout and "images/00000" in done.stdout and "free disk space" in done.stdout
    assert [p for p in folder.rglob("*") if p.name.startswith(".")] == []
    assert all(is_complete(folder, int(p.stem)) for p in (folder / "labels").glob("*"))
    assert not (folder / "annotations.jsonl").exists()


def test_an_output_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        render(small_table(), tmp_path / "file" / "set", 1, options=FAST)
    with pytest.raises(ConfigError, match="unknown engine 'raycats'"):
        render(small_table(), tmp_path / "a", 1, engine="raycats")
    with pytest.raises(ConfigError, match="cannot make engine"):
        render(small_table(), tmp_path / "b", 1, options={"rays": 3})
