"""Inner loops that numba compiles for the processor at hand; each has an equal in torch."""
