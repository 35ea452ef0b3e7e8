"""The files server: directories to read, and where it is asked for to write, that no path leads out of.

`server.build(roots)` makes it. Paths are confined by the kernel (`checks.beneath`); whoever writes a tool that takes
paths may do as `reading` and `writing` do: ask for a place, open it there, and never join strings.
"""
