"""Semantic checks: whether a text means something that may be done. Pure functions, usable in anybody's own tools.

Knows `bascule.errors` and nothing else of Bascule. Does no I/O beyond reading its own lists, once, when first used.
A check either returns what it understood, or raises a `ToolError` whose sentence helps a model write a legal one.
"""
