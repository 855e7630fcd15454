"""Figures of rank correlations between criteria."""
