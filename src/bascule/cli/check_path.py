"""`bascule check path`: the verdict of the files server's checks on every path, without a server."""

from typing import Annotated

from cyclopts import Parameter

from bascule.cli.check import text, verdicts
from bascule.late import late


def path(*, root: Annotated[str, Parameter(metavar="DIR")], debug: bool = False) -> int:
    """Judge paths.

    Parameters
    ----------
    root
        The directory that paths must stay beneath.
    debug
        Show the traceback of an error.
    """
    beneath = late("bascule.checks.beneath:Beneath")(root)
    judge = late("bascule.checks.paths:judge")
    return verdicts(lambda asked: judge(beneath, text(asked, "op"), text(asked, "path")))
