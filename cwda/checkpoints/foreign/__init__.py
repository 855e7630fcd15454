"""Files that are not read: what their content shows them to be, and what to do instead."""
