"""The entry point: the table of commands, and how whatever they end with becomes an exit code and one line.

Knows the commands by name only, so that help costs no server, no client and no event loop. Words after `--` are a
server's command: they are taken off before anything else is read, so no option of theirs is mistaken for one of ours.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from cyclopts import App, CycloptsError, Parameter

from bascule import __version__
from bascule.cli import exits, targets
from bascule.cli.help import HelpPage
from bascule.errors import ConfigError


class Command(NamedTuple):
    """One command: where its function is, how it is used, what it is for, and what else its help page tells."""

    function: str
    usage: Sequence[str]
    purpose: str
    page: str


COMMANDS = {
    "serve": Command(
        "bascule.cli.serve:serve",
        ["TARGET [OPTIONS]"],
        "Serve a server over stdio or HTTP.",
        """\
Examples:
  bascule serve sql                                  # a sample shop, over stdio
  bascule serve sql --db sqlite:///shop.db -t http   # http://127.0.0.1:3000/mcp
  bascule serve weather.py -t http --reload          # restarted when it changes
  bascule serve acme.tools:app -t http -p 8080       # an installed module""",
    ),
    "list": Command(
        "bascule.cli.list:list_features",
        ["TARGET [OPTIONS]", "[OPTIONS] -- COMMAND [ARGS...]"],
        "Show what a server offers.",
        """\
Examples:
  bascule list weather.py                            # no server need run
  bascule list http://127.0.0.1:3000/mcp --tools
  bascule list files --config ~/.cursor/mcp.json
  bascule list --json -- npx -y @modelcontextprotocol/server-everything""",
    ),
    "call": Command(
        "bascule.cli.call:call",
        ["TARGET NAME [KEY=VALUE...] [OPTIONS]", "NAME [KEY=VALUE...] [OPTIONS] -- COMMAND [ARGS...]"],
        "Call a tool.",
        """\
Arguments:
  KEY=VALUE       text or JSON, as the tool declares the parameter
  KEY:=JSON       JSON, whatever the tool declares
  KEY=@FILE       the content of a file; @- is standard input
  '{"KEY": ...}'  all arguments as one JSON object; @FILE likewise

Examples:
  bascule call sql query_database sql="SELECT name FROM products" limit=5
  bascule call http://127.0.0.1:3000/mcp query_database sql=@report.sql --json
  bascule call weather.py forecast '{"city": "Oslo", "days": 3}'
  bascule call echo message=hi -- npx -y @modelcontextprotocol/server-everything""",
    ),
    "read": Command(
        "bascule.cli.read:read",
        ["TARGET URI [OPTIONS]", "URI [OPTIONS] -- COMMAND [ARGS...]"],
        "Read a resource.",
        """\
Examples:
  bascule read sql schema://products
  bascule read https://mcp.example.com/mcp config://limits \\
      --header 'Authorization=Bearer ...'""",
    ),
    "prompt": Command(
        "bascule.cli.prompt:prompt",
        ["TARGET NAME [KEY=VALUE...] [OPTIONS]", "NAME [KEY=VALUE...] [OPTIONS] -- COMMAND [ARGS...]"],
        "Render a prompt.",
        """\
Examples:
  bascule prompt sql nl_to_sql description="ten best customers" table=customers
  bascule prompt review.py review code=@main.py""",
    ),
    "complete": Command(
        "bascule.cli.complete:complete",
        [
            "TARGET --prompt NAME --argument NAME VALUE [...]",
            "TARGET --resource TEMPLATE --argument NAME VALUE [...]",
            "[OPTIONS] -- COMMAND [ARGS...]",
        ],
        "Suggest values for an argument.",
        """\
Arguments:
  KEY=VALUE       what the other arguments or variables say already

Examples:
  bascule complete review.py --prompt review --argument tone k
  bascule complete docs.py --resource docs://{page} --argument page ""
  bascule complete http://127.0.0.1:3000/mcp --prompt review \\
      --argument tone k code=short""",
    ),
    "subscribe": Command(
        "bascule.cli.subscribe:subscribe",
        ["TARGET [URI...] [OPTIONS]", "[URI...] [OPTIONS] -- COMMAND [ARGS...]"],
        "Print changes as a server tells of them.",
        """\
Examples:
  bascule subscribe http://127.0.0.1:3000/mcp           # all lists that change
  bascule subscribe weather.py weather://oslo --count 1
  bascule subscribe http://127.0.0.1:3000/mcp --tools --json""",
    ),
    "ping": Command(
        "bascule.cli.ping:ping",
        ["TARGET [OPTIONS]", "[OPTIONS] -- COMMAND [ARGS...]"],
        "Tell whether a server answers, what it speaks, and how fast.",
        """\
Examples:
  bascule ping http://127.0.0.1:3000/mcp
  bascule ping --era legacy -- npx -y @modelcontextprotocol/server-everything""",
    ),
    "snapshot": Command(
        "bascule.cli.snapshot:snapshot",
        ["TARGET [OPTIONS]", "[OPTIONS] -- COMMAND [ARGS...]"],
        "Keep a server's public surface in a file, or check it against one.",
        """\
Examples:
  bascule snapshot weather.py                   # writes bascule.snapshot.json
  bascule snapshot weather.py --check bascule.snapshot.json   # for CI
  bascule snapshot http://127.0.0.1:3000/mcp --out other.json""",
    ),
}

TARGETS = f"""\
TARGET:
  {", ".join(targets.READY_MADE).ljust(30)}a ready-made server
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
        raise ConfigError("serve takes no server's command after --: all other commands do")
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
    for place, (name, command) in enumerate(COMMANDS.items()):
        usage = "\n".join(f"       bascule {name} {form}" for form in command.usage)
        app.command(
            command.function,
            name=name,
            help=command.purpose,
            usage=f"Usage:{usage[6:]}",
            help_epilogue=f"{command.page}\n\n{TARGETS}",
            sort_key=place,
        )
    return app
