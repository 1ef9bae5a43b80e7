"""Positions, cash and P&L from fills; targets from signals. Pure."""
