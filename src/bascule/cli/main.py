"""The entry point: the table of commands, and how whatever they end with becomes an exit code and one line.

Knows the commands by name only, so that help costs no server, no client and no event loop. Words after `--` are a
server's command: they are taken off before anything else is read, so no option of theirs is mistaken for one of ours.
"""

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from bascule import __version__
from bascule.cli import exits
from bascule.cli.commands import COMMANDS, GROUPS
from bascule.cli.help import HelpPage
from bascule.cli.ready_made import READY_MADE
from bascule.errors import ConfigError

TARGETS = f"""\
TARGET:
  {", ".join(READY_MADE).ljust(30)}a ready-made server
  file.py, file.py:object       a file of yours (app, mcp or server in it)
  package.module[:object]       a module, here or installed
  http://..., https://...       a running server (not for serve)
  NAME --config FILE            a server of an mcpServers file (not for serve)
  -- COMMAND [ARGS...]          a server to start (not for serve)"""


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are told on standard error, in one line."""
    words = sys.argv[1:] if words is None else words
    own, command = _split(words)
    try:
        return _run(own, command)
    except CycloptsError as error:
        return exits.tell(exits.USAGE, f"{error} (see bascule --help)")
    except BrokenPipeError:
        return exits.BROKEN_PIPE  # whoever read the output has enough of it
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in own:
            raise
        return exits.tell(*exits.outcome(error))


def _split(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """The words that are for Bascule, and those after `--`, None where there is no `--`."""
    if "--" not in words:
        return list(words), None
    place = words.index("--")
    return list(words[:place]), list(words[place + 1 :])


def _run(own: list[str], command: list[str] | None) -> int:
    function, bound, unparsed = _app().parse_args(own, exit_on_error=False, print_error=False)
    if "command" in unparsed:
        bound.arguments["command"] = command
    elif command is not None:
        raise ConfigError(f"{' '.join(own[:1])} takes no server's command after --")
    return function(*bound.args, **bound.kwargs) or exits.OK


def _app() -> App:
    app = App(
        name="bascule",
        help="Serve Model Context Protocol servers, and use any of them from the shell.",
        usage="Usage: bascule COMMAND ...",
        version=__version__,
        help_format="plaintext",
        help_formatter=HelpPage(),
        help_epilogue=f"{TARGETS}\n\nExit codes:\n{exits.TABLE}\n\nEvery command tells more: bascule COMMAND --help",
        default_parameter=Parameter(negative=(), show_default=False),
    )
    groups = {"": app}
    for place, (name, command) in enumerate(COMMANDS.items()):
        group, _, own = name.rpartition(" ")
        if group not in groups:
            groups[group] = _group(group, place)
            app.command(groups[group])
        usage = "\n".join(f"       bascule {name} {form}" for form in command.usage)
        takes_target = any("TARGET" in form for form in command.usage)
        groups[group].command(
            command.function,
            name=own,
            help=command.purpose,
            usage=f"Usage:{usage[6:]}",
            help_epilogue=f"{command.page}\n\n{TARGETS}" if takes_target else command.page,
            sort_key=place,
        )
    return app


def _group(name: str, place: int) -> App:
    """The page of commands of two words that share the first."""
    return App(
        name=name,
        help=GROUPS[name],
        usage=f"Usage: bascule {name} COMMAND ...",
        help_epilogue=f"Every command tells more: bascule {name} COMMAND --help",
        sort_key=place,
    )
