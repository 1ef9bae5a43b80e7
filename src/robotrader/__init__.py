"""RoboTrader: research, run and operate systematic trading strategies on Interactive Brokers."""

__version__ = "0.1.0"
