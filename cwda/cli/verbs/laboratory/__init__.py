"""Verbs that train, simulate and remove filters one by one, for hours if need be."""
