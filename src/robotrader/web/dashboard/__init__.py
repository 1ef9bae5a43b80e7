"""`/`: the pages a person sees."""

from robotrader.web.dashboard.routes import blueprint

__all__ = ["blueprint"]
