"""A simulated IB Gateway: the TWS socket protocol over a replayed market."""

from robotrader.simulation.gateway.record import GatewayRecord
from robotrader.simulation.gateway.server import Gateway, GatewayConfig

__all__ = ["Gateway", "GatewayConfig", "GatewayRecord"]
