"""asyncio meets the engine: the only driver. Knows no era, no transport, no feature."""
