"""Bascule's client: `bascule_client.py URL CALLS` prints the CPU seconds that one call takes it."""

import asyncio
import sys
import time

from bascule import Client


async def main(url: str, calls: int) -> float:
    async with Client(url) as client:
        for number in range(calls // 10):
            await client.call_tool("add", {"a": number, "b": 2})
        started = time.process_time()
        for number in range(calls):
            result = await client.call_tool("add", {"a": number, "b": 2})
            if result.content[0].text != str(number + 2):
                raise ValueError(f"the answer is wrong: {result}")
        return (time.process_time() - started) / calls


sys.stdout.write(f"{asyncio.run(main(sys.argv[1], int(sys.argv[2])))}\n")
