"""Rank correlations, their intervals, and what follows from the ranks of scores."""
