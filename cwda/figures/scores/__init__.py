"""Figures of the scores that criteria give filters."""
