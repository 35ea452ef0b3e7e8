"""The SQL server: ask a PostgreSQL or SQLite database anything, change nothing.

`server.build(url)` makes it. Every query passes two locks: the engine's own (an explicit read-only transaction that is
always rolled back; a file opened for reading, with an authorizer), and a check of its parse tree against allow-lists.
"""
