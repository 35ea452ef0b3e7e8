"""A process that writes an audit log until it is killed. Says on standard output which decisions are surely written.

Arguments: the file, and how many bytes a file may have.
"""

import sys
from pathlib import Path

from bascule.stores.audit.log import FileAudit
from tests.stores.audit.logs import decision, settings

log = FileAudit(settings(Path(sys.argv[1]), rotate_bytes=int(sys.argv[2]), queue=400))
log.open()
print("begun", flush=True)
number = 0
while True:
    if len(log._queue) < 300:
        number += 1
        log.put(decision(number))
