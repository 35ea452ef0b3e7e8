"""The fetch server: read a page of the public web, and reach nothing else.

`server.build()` makes it. A URL is checked before its host is resolved, every address that the host has is checked, and
the connection goes to one of those addresses and to no other name or address; all of it again for every redirect.
"""
