"""Figures of the verdicts on conditions."""
