"""Exit codes: what a script learns from how a command ended, and the one line that a person gets.

Knows the errors of Bascule; does not know what raised them.
"""

import sys

from bascule.errors import CallTimedOut, ConfigError, ConnectionLost, DeclarationError, Declined, MCPError

OK = 0
TOOL_FAILED = 1
BREAKING = 1
POLICY_FAILED = 1
USAGE = 2
CONNECTION = 3
TIMEOUT = 4
PROTOCOL = 5
FAULT = 70
INTERRUPTED = 130
BROKEN_PIPE = 141

TABLE = """\
  0    done
  1    the tool failed, you declined, or what was checked is not as it must be
  2    wrong use, a wrong setting, or a server that cannot be loaded
  3    no connection, or the connection was lost
  4    no answer in time
  5    the server answered with a protocol error
  70   an unforeseen fault; --debug shows where
  130  interrupted with Ctrl-C (serve and subscribe end with 0)"""

_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (KeyboardInterrupt, INTERRUPTED),
    (CallTimedOut, TIMEOUT),
    (ConnectionLost, CONNECTION),
    (MCPError, PROTOCOL),
    (Declined, TOOL_FAILED),
    (ConfigError, USAGE),
    (DeclarationError, USAGE),
)


def outcome(error: BaseException) -> tuple[int, str]:
    """The exit code and the sentence for an error."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    code = next((code for kind, code in _CODES if isinstance(error, kind)), FAULT)
    if code == INTERRUPTED:
        return code, "Interrupted"
    if isinstance(error, MCPError):
        return code, f"{error.message} ({'HTTP' if 100 <= error.code < 600 else 'error'} {error.code})"
    if code == FAULT:
        return code, f"Unforeseen {type(error).__name__}: {error} (--debug shows where)"
    return code, str(error)


def tell(code: int, sentence: str) -> int:
    """Say why on standard error, in one line, and return the code."""
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(sentence.split()))
    print(f"Error: {line}" if code != INTERRUPTED else line, file=sys.stderr)
    return code
