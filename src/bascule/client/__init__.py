"""What a client's author imports: `Client`, and `StdioCommand` where a command needs more than its words.

Connects to a server object in memory, a command over stdio or a URL over HTTP, finds out its era, and calls.
"""
