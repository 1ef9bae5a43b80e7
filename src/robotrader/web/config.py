"""The dashboard's settings."""

from ipaddress import ip_address

from msgspec import Struct

from robotrader.model import ConfigError


class WebConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be set of the dashboard; times in seconds.

    Attributes
    ----------
    host : str
        Loopback address to bind; anything else is refused.
    port : int
        0 picks a free one.
    currency : str
        Account currency, shown beside every amount.
    poll_s : float
        How often an open page's journal is looked at: a quarter second is the 4 Hz the page shows.
    simulated : bool
        The broker is a simulator on its own clock: shown on the page, and the journal's last time is "now".
    data_note : str
        What a reader must know of the prices; shown on the page.
    max_streams : int
        Live pages at the same time; the next one reads a page that does not move.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    currency: str = "USD"
    simulated: bool = False
    data_note: str = ""
    poll_s: float = 0.25
    heartbeat_s: float = 15.0
    max_streams: int = 20
    table_rows: int = 50
    chart_points: int = 600
    session_idle_s: float = 12 * 3600.0
    session_absolute_s: float = 7 * 86_400.0
    login_code_s: float = 600.0
    logins_per_minute: int = 5
    max_body_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        require_loopback(self.host)


def require_loopback(host: str) -> None:
    """Refuse an address that other machines can reach.

    Raises
    ------
    ConfigError
        `host` is not a loopback address.
    """
    if not is_loopback(host):
        raise ConfigError(
            f"The dashboard binds loopback only, found {host!r}. Use 127.0.0.1 or ::1; from afar, an SSH tunnel.",
            host=host,
        )


def is_loopback(host: str) -> bool:
    """Tell whether `host` is `localhost` or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
