"""Distances between filters: geometric medians, sums of distances, Fermat points."""
