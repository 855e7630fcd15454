"""Many networks in one figure."""
