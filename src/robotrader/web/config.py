"""The dashboard's settings."""

from ipaddress import ip_address

from msgspec import Struct

from robotrader.model import ConfigError


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the dashboard is served and what it says of its data.

    `host` is loopback, anything else is refused; port 0 takes a free one. `simulated`: the broker is a simulator on
    its own clock, so that the journal's last time is "now". `data_note`: what a reader must know of the prices.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    simulated: bool = False
    data_note: str = ""

    def __post_init__(self) -> None:
        require_loopback(self.host)


def require_loopback(host: str) -> None:
    """Raise `ConfigError` for an address that other machines can reach."""
    if not is_loopback(host):
        raise ConfigError(
            f"The dashboard binds loopback only, found {host!r}. Use 127.0.0.1 or ::1; from afar, an SSH tunnel.",
            host=host,
        )


def is_loopback(host: str) -> bool:
    """Tell whether `host` is `localhost` or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
