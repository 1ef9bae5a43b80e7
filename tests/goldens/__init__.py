"""Backtests worked out by hand."""
