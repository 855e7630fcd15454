"""Chapters on several networks, and on one along its training."""
