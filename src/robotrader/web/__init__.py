"""The dashboard: a process of its own that reads the journal and puts operators' requests into it."""

from robotrader.web.app import create_app, serve
from robotrader.web.config import WebConfig
from robotrader.web.requests import RequestAck, SubmitRequest
from robotrader.web.sessions import issue_login_code, login_url

__all__ = ["RequestAck", "SubmitRequest", "WebConfig", "create_app", "issue_login_code", "login_url", "serve"]
