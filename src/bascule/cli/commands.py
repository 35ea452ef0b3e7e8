"""The commands: where the function of each is, and what its help page tells. Names only: nothing is loaded for help."""

from collections.abc import Sequence
from typing import NamedTuple


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
  bascule serve fetch --allow '*.python.org'         # a page of the web
  bascule serve files --root ~/notes                 # directories, to read
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
    "keys create": Command(
        "bascule.cli.keys:create",
        ["--name NAME [OPTIONS]"],
        "Make a key and print it, this once.",
        """\
Examples:
  bascule keys create --name ci --scopes tools:read --expires 90d
  bascule keys create --name phone --scopes tools:read,resources:read
  bascule keys create --name ops --db /var/lib/mcp/keys.db --json""",
    ),
    "keys list": Command(
        "bascule.cli.keys:list_keys",
        ["[OPTIONS]"],
        "Show the keys: state, scopes, last use; not the keys themselves.",
        """\
Examples:
  bascule keys list
  bascule keys list --json""",
    ),
    "keys rotate": Command(
        "bascule.cli.keys:rotate",
        ["KEY [OPTIONS]"],
        "Replace a key; old and new are both good for a while.",
        """\
KEY is the name or the id of a key.

Examples:
  bascule keys rotate ci
  bascule keys rotate ci --overlap 7d --expires 90d
  bascule keys rotate 2fGq8Xv0LkA --overlap 0s""",
    ),
    "keys revoke": Command(
        "bascule.cli.keys:revoke",
        ["KEY [OPTIONS]"],
        "Let no one in with a key any more.",
        """\
KEY is the id of a key, or the name of one key or several.

Examples:
  bascule keys revoke ci
  bascule keys revoke 2fGq8Xv0LkA""",
    ),
    "approvals": Command(
        "bascule.cli.approvals:approvals",
        ["list [OPTIONS]", "show ID [OPTIONS]", "approve ID [OPTIONS]", "deny ID [OPTIONS]"],
        "Decide on calls that wait for a person.",
        """\
Examples:
  bascule approvals list                             # what waits
  bascule approvals show 3f9a61c0d2b4                # who wants what, in full
  bascule approvals approve 3f9a61c0d2b4 --as ann
  bascule approvals list --all --json                # and what was decided, by whom""",
    ),
    "policy explain": Command(
        "bascule.cli.policy:explain",
        ["TARGET [OPTIONS]"],
        "Tell what holds for each tool, resource and prompt, and who says so.",
        """\
Examples:
  bascule policy explain weather.py
  bascule policy explain weather.py --tool drop_city --scopes tools:read
  bascule policy explain weather.py --principal ci   # the holder of the key ci
  bascule policy explain sql --json""",
    ),
    "policy test": Command(
        "bascule.cli.policy_test:try_cases",
        ["FILE [TARGET] [OPTIONS]"],
        "Try a table of calls against a server's policy; no function of it runs.",
        """\
Examples:
  bascule policy test policy.toml                    # for CI: 1 where one fails
  bascule policy test policy.toml weather.py --json

A file:
  target = "weather.py"

  [[call]]
  tool = "drop_city"
  arguments = { city = "Oslo" }
  expect = "missing_scope"
  scopes = ["tools:read"]""",
    ),
    "check url": Command(
        "bascule.cli.check_url:url",
        ["[--allow HOST ...]"],
        "Judge URLs: one JSON object a line in, one verdict a line out.",
        """\
Lines are {"id": ..., "url": "...", "dns": {...}, "redirects": [...]}.
dns maps hosts to addresses in place of looking them up, and redirects are the
URLs that follow; both may be left out.
Verdicts are {"id": ..., "verdict": "allow|reject", "reason": "..."}.

Examples:
  bascule check url < urls.jsonl
  echo '{"id": 1, "url": "http://0x7f.1/"}' | bascule check url
  bascule check url --allow example.com --allow '*.example.com' < urls.jsonl""",
    ),
    "check path": Command(
        "bascule.cli.check_path:path",
        ["--root DIR"],
        "Judge paths: one JSON object a line in, one verdict a line out.",
        """\
Lines are {"id": ..., "op": "read|write|list|delete", "path": "..."}.
Verdicts are {"id": ..., "verdict": "allow|reject", "reason": "..."}.

Examples:
  bascule check path --root /srv/docs < paths.jsonl
  echo '{"id": 1, "op": "read", "path": "../x"}' | bascule check path --root .""",
    ),
    "audit verify": Command(
        "bascule.cli.audit:verify",
        ["FILE... [OPTIONS]"],
        "Tell whether an audit log is as it was written.",
        """\
Examples:
  bascule audit verify audit.jsonl audit.2.jsonl
  bascule audit verify audit.jsonl --known 1204:9f31...  # it must still be there
  bascule audit verify audit.jsonl --first 50001         # the rest was archived""",
    ),
}

GROUPS = {
    "keys": "Make, list, replace and withdraw the API keys of a server.",
    "policy": "Tell what holds for each call, and test it.",
    "audit": "Verify audit logs.",
    "check": "Judge arguments as the ready-made servers do, without a server.",
}
"""What commands of two words that share the first are for."""
