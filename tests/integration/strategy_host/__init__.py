"""A user's strategy in a process of its own."""
