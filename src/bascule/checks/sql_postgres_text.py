"""Texts that PostgreSQL's lexer is slow on, found before it sees them: 32 KB of them took it two seconds.

It looks at the rest of the text again for every level of nested comments, and for every sign of a run of operator
characters. Both are refused only outside of strings, names and comments, so that a line of dashes stays a comment.
"""

import re

from bascule.checks.sql import Refused

_MAX_DEPTH = 32
_MAX_RUN = 63

_SUSPICIOUS = re.compile(rf"[-+*/<>=~!@#%^&|`?]{{{_MAX_RUN + 1}}}")

_TOKEN = re.compile(
    r"""
    --[^\n\r]*+
    | (?P<comment> /\* )
    | [eE]'(?: [^'\\]++ | \\. | '' )*+ '?
    | '[^']*+'?
    | "[^"]*+"?
    | (?P<tag> \$ (?: [^\W\d]\w*+ )?+ \$ ) .*? (?: (?P=tag) | \Z )
    | [\w$]++
    | (?P<run> (?: (?!--|/\*) [-+*/<>=~!@\#%^&|`?] )++ )
    | \s++
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def refuse_slow_text(sql: str) -> None:
    """Raise `Refused` for comments nested more than 32 deep and for runs of more than 63 operator characters."""
    if _SUSPICIOUS.search(sql) is None and sql.count("/*") <= _MAX_DEPTH:
        return
    place = 0
    while token := _TOKEN.match(sql, place):
        place = token.end()
        if token["comment"] is not None:
            place = _comment_end(sql, place)
        elif token["run"] is not None and len(token["run"]) > _MAX_RUN:
            raise Refused(f"An operator has at most {_MAX_RUN} characters; separate signs by spaces or parentheses.")


def _comment_end(sql: str, place: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, place):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
        if depth > _MAX_DEPTH:
            raise Refused("Comments are nested too deeply; leave them out.")
    return len(sql)
