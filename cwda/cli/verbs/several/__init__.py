"""Verbs on several networks, or on one along its training."""
