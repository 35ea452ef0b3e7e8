"""A server over stdio for tests of the client's end: speaks the handshake era, and misbehaves as its argument says.

polite      ends when its input ends
deaf        ignores the end of its input; ends at SIGTERM
stubborn    ignores SIGTERM too
parent      has a child of its own that would sleep for long, and prints its number
fatal       ends with exit code 3 at the tool `die`, without an answer
strict      ends at any first message that is not `initialize`
flood       answers with a line of a million letters
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

mode = sys.argv[1] if len(sys.argv) > 1 else "polite"
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "serverInfo": {"name": mode, "version": "1"},
    },
    "tools/list": {"tools": []},
    "ping": {},
}


def say(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def text(value: object) -> dict[str, object]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def call(name: str) -> dict[str, object]:
    if name == "die":
        os._exit(3)
    if name == "environment":
        return text(dict(os.environ))
    if name == "folder":
        return text(str(Path.cwd()))
    if name == "grandchild":
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        return text(sleeper.pid)
    if name == "flood":
        return text("x" * 1_000_000)
    return text(os.getpid())


def main() -> None:
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    first = True
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if mode == "strict" and first and method != "initialize":
            sys.exit(1)
        first = False
        if "id" not in message:
            continue
        answer: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
        if method == "tools/call":
            say({**answer, "result": call(message["params"]["name"])})
        elif method in RESULTS:
            say({**answer, "result": RESULTS[method]})
        else:
            say({**answer, "error": {"code": -32601, "message": "Method not found"}})
    while mode in {"deaf", "stubborn"}:
        time.sleep(60)


if __name__ == "__main__":
    main()
