"""A real HTTP server in a thread of the test's own process, on a free loopback port: the one that users get."""

from bascule.testing import Serving, serve_http

__all__ = ["Serving", "serving"]

serving = serve_http
