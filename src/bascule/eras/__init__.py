"""The two eras of the protocol. The only folder that knows a protocol date.

versions    which revisions exist           classify    which era a message belongs to
stateless   2026-07-28 and later            handshake   2025-11-25 and earlier
headers     the Mcp-* request headers       sealing     state that travels with the client
"""
