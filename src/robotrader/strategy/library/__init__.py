"""Strategies that ship with RoboTrader: one folder each, named by its id."""
