"""Floor 5: robots behind gates, real or simulated, and tuning a policy on them."""
