"""What each client's program measures, printed as one number:

    PROGRAM calls URL COUNT       CPU seconds that one call takes the client
    PROGRAM in-memory COUNT       CPU seconds of one call to a server in the same process, both ends together
    PROGRAM open URL COUNT ERA    resident KiB of one open client that has made a call, of so many

It knows nothing of the clients: each program says how its own is made, and where its server is.
"""

import asyncio
import gc
import importlib
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

SERVERS = Path(__file__).resolve().parent.parent / "servers"


def main(connect, server, name):
    """`connect` makes a client of a target in an era; `name` in the module `server` is one in this process."""
    what, *rest = sys.argv[1:]
    if what == "calls":
        measured = calls(connect(rest[0], "modern"), int(rest[1]))
    elif what == "in-memory":
        sys.path.insert(0, str(SERVERS))
        measured = calls(connect(getattr(importlib.import_module(server), name), "modern"), int(rest[0]))
    else:
        measured = opened(lambda: connect(rest[0], rest[2]), int(rest[1]))
    sys.stdout.write(f"{asyncio.run(measured)}\n")


async def calls(client, count):
    async with client:
        for number in range(count // 10):
            await call(client, number)
        started = time.process_time()
        for number in range(count):
            await call(client, number)
        return (time.process_time() - started) / count


async def opened(make, count):
    async with AsyncExitStack() as stack:
        for number in range(3):  # what the first ones load is not theirs
            await call(await stack.enter_async_context(make()), number)
        before = resident_kib()
        for number in range(count):
            await call(await stack.enter_async_context(make()), number)
        return (resident_kib() - before) / count


async def call(client, number):
    result = await client.call_tool("add", {"a": number, "b": 2})
    if result.content[0].text != str(number + 2):
        raise ValueError(f"the answer is wrong: {result}")


def resident_kib():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
