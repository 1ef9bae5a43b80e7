"""From targets to orders, and what becomes of them. Pure."""
