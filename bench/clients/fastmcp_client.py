"""FastMCP's client; what it measures: see measuring.py."""

import measuring
from fastmcp import Client

measuring.main(
    lambda target, era: Client(target, mode="auto" if era == "modern" else "legacy"), "fastmcp_server", "server"
)
