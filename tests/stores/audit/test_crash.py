"""A process that is killed while it writes leaves a log that is sound, up to what it had not written yet."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.audit.logs import calls, checked, settings

POINTS = 100
CHILDREN = 10


@pytest.mark.parametrize("child", range(CHILDREN))
def test_what_a_killed_process_leaves_is_sound_and_the_next_goes_on(child, tmp_path):
    """A hundred times, at moments that are strewn over writing, turning to another file, and the head's renewal."""
    seed = random.Random(child)
    rotate = (20_000, 150_000)[child % 2]
    chosen = settings(tmp_path, rotate_bytes=rotate)
    head = Path(f"{chosen.file}.head")
    seen = 0
    for _ in range(POINTS // CHILDREN):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.audit.crashing", str(tmp_path), str(rotate)], stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            before = head.read_bytes()
            wait_for = seed.randrange(1, 6)
            for _ in range(wait_for):
                while (now := head.read_bytes()) == before:
                    pass
                before = now
            for _ in range(seed.randrange(20_000)):
                pass
        finally:
            process.kill()
            process.communicate()
        report = checked(chosen)
        assert report.fault is None, report.fault
        assert report.last > seen
        seen = report.last
    numbers = [int(line["request"]) for line in calls(chosen)]
    starts = [place for place, number in enumerate(numbers) if number == 1]
    for start, end in zip(starts, [*starts[1:], len(numbers)], strict=True):
        assert numbers[start:end] == list(range(1, end - start + 1)), "no call is missing in between"
