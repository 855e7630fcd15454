"""Verbs that train and simulate, for hours if need be: what the findings rest on."""
