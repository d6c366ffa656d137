"""Floor 5: simulated worlds, demonstrations, closed-loop evaluation; needs the extra ``robot``.

Worker processes import this room, so nothing is imported here that only training needs.
"""

from perceptransfer.core.extras import require

require("robot", "mujoco", "gymnasium", "h5py")
