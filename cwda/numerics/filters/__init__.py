"""What filters have in common, or should: norms, shapes, directions."""
