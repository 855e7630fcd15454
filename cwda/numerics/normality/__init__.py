"""Tests of normality, batched over layers and positions."""
