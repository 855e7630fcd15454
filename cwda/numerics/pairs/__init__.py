"""Statistics over pairs of filters: kernel matrices, what they add up to, and inference."""
