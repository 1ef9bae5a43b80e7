"""Backtests and what is read from them."""
