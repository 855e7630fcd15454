"""Chapters on the conditions: the whole network, one condition, covariances, textbook tests."""
