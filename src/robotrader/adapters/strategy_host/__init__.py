"""A user's strategy in a process of its own: without network, secrets or broker, and within limits."""
