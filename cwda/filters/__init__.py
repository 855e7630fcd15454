"""What the filters of a layer share, or should: the law of their norms, shapes, directions."""
