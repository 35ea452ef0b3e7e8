"""A folder with a server file that prints wherever it can."""

from pathlib import Path

import pytest

from tests.cli.command import SHOP


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with shop.py, and other files that cannot be served."""
    place = tmp_path_factory.mktemp("served")
    files = {
        "shop.py": SHOP,
        "two.py": "from bascule import Server\nleft = Server('left')\nright = Server('right')\n",
        "none.py": "x = 1\n",
        "broken.py": "x = (\n",
        "raises.py": "1 / 0\n",
        "silent.py": "import sys\nfor line in sys.stdin: pass\n",
    }
    for name, text in files.items():
        (place / name).write_text(text)
    return place
