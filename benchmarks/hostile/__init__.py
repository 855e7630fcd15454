"""Damaged, huge and malicious files against `cwda.load` and `cwda.check`."""
