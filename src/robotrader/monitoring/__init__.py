"""Watching a running system: logs now; metrics, health and alert rules build on them."""
