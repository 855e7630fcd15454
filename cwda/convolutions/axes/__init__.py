"""The order of a kernel's axes: stated, told by names and shapes, or given by the user."""
