"""Scenes in the layout of the BOP benchmark: object crops with class, mask, depth and projected keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from perceptransfer.core.config import digest
from perceptransfer.core.errors import ConfigError, DataError
from perceptransfer.core.features import KEYPOINTS, MASK
from perceptransfer.data.bop_labels import Crop, read_labels, read_points
from perceptransfer.data.bop_scene import Floats, read_scene
from perceptransfer.data.crop import CropReader, around, crop_camera, require_margin
from perceptransfer.data.files import FileSource, content_hash
from perceptransfer.data.image_set import ImageSet
from perceptransfer.data.images import WHITE
from perceptransfer.data.label_files import named_classes, split_up
from perceptransfer.data.layout import Entry, require_folder
from perceptransfer.data.targets import Targets

LABELS = ("scene_gt.json", "scene_camera.json", "scene_gt_info.json")


class Bop(FileSource):
    """Crops of all objects in the scene folders below ``path``, at least ``min_visible`` of them visible.

    A crop is ``margin`` times the box of the whole outline, hidden parts included, or of the visible part where the
    outline is not known. `cameras` gives the camera matrix of every crop. The mask has background and object and is
    ignored beyond the frame; depth is that of the whole crop, in metres. Keypoints are object points under the
    annotated pose, in one labelling for each symmetry; they are hidden (v = 1) where the visible mask or the depth
    says so, and not labelled out of the picture. Scenes are test groups, or of a single scene blocks of ``block``
    frames.
    """

    NOT_IDENTITY = FileSource.NOT_IDENTITY | {"keypoints", "models_info"}

    def __init__(
        self,
        path: str,
        class_map: dict[str, str] | None = None,
        unmapped: Literal["error", "drop"] = "error",
        keypoints: str | None = None,
        models_info: str | None = None,
        margin: float = 1.2,
        min_visible: float = 0.3,
        block: int = 10,
        test_share: float = 0.0,
        split_seed: int = 0,
        on_bad_image: Literal["error", "quarantine"] = "error",
        manifest: str | None = None,
    ) -> None:
        """Name folder and files.

        Args:
            path: folder of scene folders, such as lmo/test.
            class_map: object number to class; by default the number is the class.
            unmapped: what to do with objects that ``class_map`` does not name.
            keypoints: JSON file, object number to points [x, y, z] in millimetres of the object's frame.
            models_info: BOP's models_info.json, for symmetries.
            margin: side of a crop relative to what its box needs.
            min_visible: visible share below which objects are left out.
            block: consecutive frames that a split keeps together.
            test_share: share of the crops for the test.
            split_seed: seed of that split, apart from all training seeds.
            on_bad_image: stop at an unreadable image, or leave it out and list it.
            manifest: file to verify the images against.
        """
        super().__init__(path, "squash", WHITE, on_bad_image, manifest)
        require_margin(margin)
        if not 0 <= min_visible <= 1 or block < 1:
            raise ConfigError(f"min_visible {min_visible}, block {block}", key="min_visible", remedy="a share in 0..1")
        self.class_map, self.unmapped, self.margin, self.min_visible = class_map, unmapped, margin, min_visible
        self.block, self.test_share, self.split_seed = block, test_share, split_seed
        self.keypoints = None if keypoints is None else Path(keypoints).expanduser()
        self.models_info = None if models_info is None else Path(models_info).expanduser()

    def identity_extra(self) -> Mapping[str, Any]:
        """Digest of poses, images, masks and depth of all scenes, and of the files of points and symmetries."""
        if self._content is None:
            files = [path for scene in self._scenes() for path in sorted(scene.rglob("*")) if path.is_file()]
            more = [content_hash(path) for path in (self.keypoints, self.models_info) if path is not None]
            self._content = digest([[[str(p.relative_to(self.path)), content_hash(p)] for p in files], more])
        return {"content": self._content}

    def load(self, size: tuple[int, int]) -> ImageSet:
        """Read all crops.

        Raises:
            DataError: scene files that are damaged, labels of another size, a keypoint behind the camera, no object
                that is visible enough.
            ConfigError: a class map that does not fit the objects.
            ImageError: an unreadable image, unless quarantined.
        """
        crops = self._crops(size)
        scenes = {crop.frame.scene for crop in crops}
        groups = [
            f"{crop.frame.scene.name} {crop.frame.number // self.block}" if len(scenes) == 1 else crop.frame.scene.name
            for crop in crops
        ]
        entries = split_up([crop.entry for crop in crops], groups, self.test_share, self.split_seed)
        names = tuple(entry.name for entry in entries)
        reader = CropReader(self.path, names, size, "squash", WHITE, boxes=tuple(crop.box for crop in crops))
        classes = sorted({str(entry.label) for entry in entries})
        images = self.image_set(entries, classes, groups, size, reader=reader)
        by_name = {crop.entry.name: crop for crop in crops}
        kept = [by_name[record.name] for record in images.records]
        points = {}
        if self.keypoints is not None:
            points = read_points(self.keypoints, self.models_info, {crop.one.object_id for crop in kept})
        arrays = read_labels(kept, size, points)
        names = tuple(f"point_{i}" for i in range(arrays[KEYPOINTS].shape[2])) if points else ()
        # The mirror image of an object is another object.
        targets = Targets(arrays, ("background", "object") if MASK in arrays else (), names, keypoint_flip=None)
        return images.with_targets(targets)

    def cameras(self, size: tuple[int, int]) -> dict[str, Floats]:
        """Camera matrix ``[3, 3]`` of every crop by the image's name: the crop's transform times the frame's K."""
        return {crop.entry.name: crop_camera(crop.frame.camera, crop.box, size) for crop in self._crops(size)}

    def _scenes(self) -> list[Path]:
        require_folder(self.path)
        scenes = sorted(path.parent for path in self.path.glob(f"*/{LABELS[0]}"))
        if not scenes:
            raise DataError(
                f"holds no folder with {LABELS[0]}", where=self.path, key="path",
                remedy="give the folder above the scene folders, such as lmo/test",
            )  # fmt: skip
        return scenes

    def _crops(self, size: tuple[int, int]) -> list[Crop]:
        frames = [frame for scene in self._scenes() for frame in read_scene(scene)]
        found = [one.object_id for frame in frames for one in frame.objects]
        class_of = named_classes(found, self.class_map, self.unmapped, self.path)
        crops = []
        for frame in frames:
            for one in frame.objects:
                if one.object_id in class_of and one.visible >= self.min_visible and one.box:
                    x, y, w, h = one.box
                    name = f"{frame.picture.relative_to(self.path).as_posix()}#{one.number}"
                    entry = Entry(name, None, class_of[one.object_id])
                    crops.append(Crop(entry, frame, one, around(x, y, w, h, self.margin, size)))
        if not crops:
            raise DataError(
                "no object is left", where=self.path, key="min_visible", remedy="lower it, or map more objects"
            )
        return crops
