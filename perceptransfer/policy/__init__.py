"""Floor 1: what ships to the robot."""
