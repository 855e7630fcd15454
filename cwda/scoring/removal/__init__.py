"""The loss of a network when filters are removed, one set of filters after the other."""
