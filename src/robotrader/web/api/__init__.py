"""`/api/v1`: what the journal says as JSON, and operators' requests."""

from robotrader.web.api.routes import blueprint

__all__ = ["blueprint"]
