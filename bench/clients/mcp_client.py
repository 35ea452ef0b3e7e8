"""The official Python SDK's client; what it measures: see measuring.py."""

import measuring
from mcp.client import Client

measuring.main(lambda target, era: Client(target, mode="auto" if era == "modern" else "legacy"), "mcp_server", "server")
