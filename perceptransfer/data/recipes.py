"""What the weak and the strong augmentation vary, and by how much at ``strength`` 1.

Both engines (`fast` and `transforms`) draw every number from these ranges, uniformly, and the ledger records them.
"""

from __future__ import annotations

Range = tuple[float, float]
Ranges = dict[str, Range]

WEAK: Ranges = {
    "rotate_degrees": (-8.0, 8.0),
    "shear_degrees": (0.0, 0.0),
    "log_scale": (-0.10, 0.10),  # natural logarithm of the magnification
    "shift_share": (-0.06, 0.06),  # of the side; positive is to the right and down
    "exposure_stops": (-0.15, 0.15),  # gain 2^x
    "log_gamma": (-0.10, 0.10),
}

# In the order of a camera: lens, exposure and white balance, motion blur, shot and read noise, tone, JPEG.
STRONG: Ranges = {
    "rotate_degrees": (-15.0, 15.0),
    "shear_degrees": (-10.0, 10.0),
    "log_scale": (-0.25, 0.25),
    "shift_share": (-0.12, 0.12),
    "lens_distortion": (-0.15, 0.15),  # radius r (1 at the corner) samples r (1 + k r²)
    "exposure_stops": (-0.6, 0.6),
    "white_balance": (-0.12, 0.12),  # gain 1 + x of each channel
    "log_saturation": (-0.7, 0.5),
    "motion_blur_share": (0.0, 0.14),  # length of the path relative to the side
    "defocus_share": (0.0, 0.02),  # standard deviation relative to the side
    "shot_noise": (0.0, 0.03),  # variance at value 1 is x²
    "read_noise": (0.0, 0.03),  # standard deviation
    "log_gamma": (-0.4, 0.4),
    "jpeg_quality_loss": (5.0, 60.0),  # quality is 100 − x
}

# What moves things in the picture; the rest changes only how they look.
PLACES = frozenset({"rotate_degrees", "shear_degrees", "log_scale", "shift_share", "lens_distortion"})
APPEARANCE: Ranges = {name: limits for name, limits in STRONG.items() if name not in PLACES}

# How often each of these steps is taken at all, at every strength.
CHANCE = {"motion_blur_share": 0.3, "defocus_share": 0.3, "shot_noise": 0.5, "jpeg_quality_loss": 0.3}


def scaled(ranges: Ranges, strength: float) -> Ranges:
    """Ranges widened or narrowed about "no change" by ``strength``."""
    return {name: (low * strength, high * strength) for name, (low, high) in ranges.items()}
