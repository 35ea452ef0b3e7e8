"""The command line: `bascule serve`, `list`, `call`, `read` and `prompt`.

`main` holds the table of commands; each command is a file of its name. Nothing heavy loads before a command runs.
"""
