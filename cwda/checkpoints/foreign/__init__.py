"""Formats that are recognised but not read: each with what it is and what to do instead."""
