"""The benchmark reads /proc and pins processes to cores: its tests need Linux."""

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
