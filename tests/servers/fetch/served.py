"""The fetch server in a child process, in the world of the test that started it."""

import json
import os
from pathlib import Path

from bascule.servers.fetch.limits import Limits
from bascule.servers.fetch.server import build
from tests.servers.fetch.world import World

app = build(
    json.loads(os.environ["FETCH_ALLOW"]),
    limits=Limits(rate="100000/s"),
    network=World(Path(os.environ["FETCH_WORLD"])).network(),
)
