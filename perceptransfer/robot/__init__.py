"""Floor 5: simulated worlds, demonstrations, closed-loop evaluation."""

from perceptransfer.core.extras import require

require("robot", "mujoco", "gymnasium", "h5py")
