"""The command line: `bascule serve`, and `list`, `call`, `read`, `prompt`, `complete`, `subscribe` and `ping`.

`main` holds the table of commands; each command is a file of its name. Nothing heavy loads before a command runs.
"""
