"""Sensor ranges of a scene fitted to unlabelled photos."""
