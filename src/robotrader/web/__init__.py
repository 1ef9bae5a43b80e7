"""The dashboard: a process of its own that reads the journal and puts operators' requests into it.

Nothing is imported here: the command line needs `web.requests` alone, not the web server.
"""
