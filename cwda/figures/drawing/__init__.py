"""What all figures share: style, axes of layers, cells, marks, and saving."""
