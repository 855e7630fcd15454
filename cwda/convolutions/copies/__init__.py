"""Copies of a network in one source, such as moving averages."""
