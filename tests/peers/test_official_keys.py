"""What a user of the official client reads when a key is missing, wrong, withdrawn or throttled."""

import json
import subprocess
from pathlib import Path

from bascule import Server
from tests.auth.keyring import Keyring
from tests.serving import serving

PROGRAM = Path(__file__).parent / "official_key_client.py"


def test_the_sentence_and_the_word_for_programs_reach_the_official_client_in_both_eras(sdk, tmp_path):
    app = Server("t")

    @app.tool
    async def add(a: int, b: int) -> int:
        return a + b

    ring = Keyring(tmp_path / "keys.db")
    (_, good), (withdrawn, revoked) = ring.make("good"), ring.make("revoked")
    ring.revoke(withdrawn)
    keys = [good, None, "unknown", good[:-1], revoked]
    with serving(app, door=ring.door()) as server:
        done = subprocess.run(
            [sdk, str(PROGRAM), server.url, json.dumps(keys)], capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    for era in (answers[:5], answers[5:]):
        assert era[0] == {"result": 3}
        codes = [answer["data"]["code"] for answer in era[1:]]
        assert codes == ["unauthenticated", "unknown_key", "mistyped_key", "revoked_key"]
        assert "asks for an API key" in era[1]["message"]
        assert "was revoked; ask for a new one" in era[4]["message"]
