"""Figures of a layer's weights."""
