"""Floor 0: what every room may use and what uses none of them."""
