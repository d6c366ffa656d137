"""What images the exported encoder takes, and the refusal of all others."""

from __future__ import annotations

from dataclasses import dataclass

from perceptransfer.core.errors import ObservationError
from perceptransfer.policy.arrays import Array, dtype_of, kind_of

CHANNELS = 3


@dataclass(frozen=True)
class ImageSpec:
    """RGB images ``uint8 [B, height, width, 3]`` as a camera gives them.

    Everything else happens inside the exported graph: resizing to ``resized_to`` (height, width) if that differs,
    division by 255, subtraction of ``mean`` and division by ``std`` (of values in 0..1). One size is accepted and no
    other: an image of another size was framed by another camera, and stretching it would go unnoticed.
    """

    height: int
    width: int
    resized_to: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: str = "NHWC"
    dtype: str = "uint8"

    def __call__(self, images: Array) -> Array:
        """The checked images, with a batch axis in front of a single one ``[height, width, 3]``.

        Raises:
            ObservationError: as in `check`.
        """
        if len(getattr(images, "shape", ())) == 3:
            images = images[None]
        self.check(images)
        return images

    def check(self, images: Array) -> None:
        """Refuse everything but a torch tensor or NumPy array ``uint8 [B, height, width, 3]`` with B above 0.

        Raises:
            ObservationError: another kind of object, type, layout, number of channels or size, or an empty batch.
        """
        wanted = f"uint8 [B, {self.height}, {self.width}, {CHANNELS}]"
        if kind_of(images) is None:
            raise ObservationError(
                f"images must be {wanted}, got {type(images).__name__}", remedy="give a torch tensor or a NumPy array"
            )
        found, shape = dtype_of(images), tuple(images.shape)

        def refuse(problem: str, remedy: str) -> ObservationError:
            return ObservationError(f"{problem}: images must be {wanted}, got {found} {list(shape)}", remedy=remedy)

        if found != self.dtype:
            raise refuse("wrong type", "give the camera's bytes, 0..255; the encoder scales and normalises them itself")
        if len(shape) != 4:
            raise refuse("wrong number of axes", "add a batch axis in front of a single image")
        if shape[-1] != CHANNELS:
            if shape[1] == CHANNELS:
                raise refuse("channels stand first", "permute to [B, height, width, 3]")
            raise refuse("wrong number of channels", "convert to RGB, without alpha")
        if shape[1:3] != (self.height, self.width):
            raise refuse("wrong size", "set the camera to this size, or export again with camera=(height, width)")
        if not shape[0]:
            raise refuse("no image", "give at least one image")
