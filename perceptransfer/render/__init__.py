"""Floor 1: scenes sampled in pure Python, the renderers that draw them, and labelled image sets on disk."""
