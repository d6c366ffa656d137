"""Images as data URIs, so that the page needs no file beside it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from perceptransfer.benchmark.description import Samples

_SHOWN_SIDE = 160  # pixels of the longer side of an embedded sample; larger ones would only bloat the file


def sheets(samples: Samples | None) -> list[dict[str, Any]]:
    """Sample images of both domains as data URIs with captions."""
    if samples is None:
        return []
    pairs = (
        ("synthetic", samples.synthetic, samples.synthetic_names),
        ("real", samples.real, samples.real_names),
    )
    return [
        {
            "domain": name,
            "pixelated": max(images.shape[1:3]) < 64,
            "images": [
                {"uri": _uri(image), "name": str(names[i]) if i < len(names) else ""} for i, image in enumerate(images)
            ],
        }
        for name, images, names in pairs
        if len(images)
    ]


def _uri(image: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    picture = Image.fromarray(image)
    picture.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return data_uri(buffer.getvalue())


def data_uri(png: bytes) -> str:
    """A PNG that needs no file beside the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
