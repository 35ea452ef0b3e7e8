"""Ready-made servers: complete, useful, and the reference for how to write a safe tool.

They use what every author may use: the public names of `bascule`, its checks, and nothing behind them.
"""
