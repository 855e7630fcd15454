"""Trained weights back in the network of their architecture."""
