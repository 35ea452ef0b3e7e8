"""A real PostgreSQL of the tests' own: its own data directory, its own free port, gone when the tests are.

Started as an unprivileged user when the tests run as root, for PostgreSQL refuses root. Durability is off: it is fast.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "hunter2-secret"


_QUICK = ["--locale=C", "--no-sync", "-A", "scram-sha-256"]


class NoPostgres(Exception):
    """There is no PostgreSQL server on this machine, or it cannot be started; the text says why."""


@dataclass
class Cluster:
    """A running server: `url(database)` connects as its superuser with a password."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    programs: Path

    def url(self, database: str = "postgres", user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run statements as the superuser, outside of everything under test; returns what psql prints."""
        command = [self.programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        done = subprocess.run([*command, "-c", sql], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.directory, ignore_errors=True)


def start() -> Cluster:
    """Make a cluster and start it; about two seconds. Raises NoPostgres."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="bascule-pg-"))
    prefix = _unprivileged(directory)
    secret = directory / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data = directory / "data"
    made = subprocess.run(
        [*prefix, programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", *_QUICK, f"--pwfile={secret}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if made.returncode:
        shutil.rmtree(directory, ignore_errors=True)
        raise NoPostgres(f"initdb failed: {made.stderr.strip()[-300:]}")
    port = _free_port()
    options = [
        "-c",
        "fsync=off",
        "-c",
        "synchronous_commit=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "max_connections=40",
    ]
    options += ["-c", f"unix_socket_directories={directory}", "-c", "listen_addresses=127.0.0.1"]
    log = (directory / "log").open("wb")
    process = subprocess.Popen(
        [*prefix, programs / "postgres", "-D", data, "-p", str(port), *options], stdout=log, stderr=log
    )
    log.close()
    cluster = Cluster(directory, port, process, programs)
    _await_ready(cluster)
    return cluster


def _await_ready(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    ready = [cluster.programs / "pg_isready", "-h", "127.0.0.1", "-p", str(cluster.port), "-t", "1"]
    while subprocess.run(ready, capture_output=True, check=False).returncode:
        if cluster.process.poll() is not None or time.monotonic() > deadline:
            reason = (cluster.directory / "log").read_text(errors="replace")[-300:]
            cluster.stop()
            raise NoPostgres(f"the server did not start: {reason}")


def _programs() -> Path:
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not places:
        raise NoPostgres("neither PATH nor /usr/lib/postgresql has a postgres server; install postgresql")
    return places[-1].parent


def _unprivileged(directory: Path) -> list[str]:
    """The command that drops root, and the directory given to the user that it drops to; nothing when not root."""
    if os.geteuid() != 0:
        return []
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in ("postgres", "nobody") if name in names), None)
    if user is None or shutil.which("setpriv") is None:
        raise NoPostgres("running as root, and there is no setpriv or no user postgres or nobody to run the server as")
    entry = pwd.getpwnam(user)
    os.chown(directory, entry.pw_uid, entry.pw_gid)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
