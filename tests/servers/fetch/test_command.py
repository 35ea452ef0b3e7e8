"""`bascule … fetch` as users run it: the real network, no seam; nothing on this machine is reached."""

import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from bascule.checks.urls import PORTS


def bascule(*words, code=None):
    start = ["-c", code] if code else ["-m", "bascule", *words]
    return subprocess.run([sys.executable, *start], capture_output=True, text=True, timeout=60)


@pytest.fixture
def listener():
    """A listener on every address of this machine, at a port that may be fetched from; skipped where all are taken."""
    for port in sorted(PORTS, reverse=True):
        with suppress(OSError):
            sock = socket.create_server(("0.0.0.0", port))
            break
    else:
        pytest.skip("every port that may be fetched from is taken, or is not ours to listen on")
    hits = []

    def accept():
        with suppress(OSError):
            while True:
                connection, peer = sock.accept()
                hits.append(peer)
                connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield port, hits
    sock.shutdown(socket.SHUT_RDWR)
    sock.close()
    thread.join(5)


def test_no_spelling_of_this_machine_is_reached(listener):
    port, hits = listener
    hosts = ["127.0.0.1", "127.1", "0", "0x7f.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
    hosts += [socket.gethostname(), f"{socket.gethostname()}.local", "127.0.0.1.nip.io"]
    for host in hosts:
        done = bascule("call", "fetch", "fetch", f"url=http://{host}:{port}/")
        assert done.returncode == 1, (host, done.stdout, done.stderr)
    assert hits == []
    socket.create_connection(("127.0.0.1", port)).close()
    done = bascule("call", "fetch", "fetch", f"url=http://127.0.0.1:{port}/", "--allow", "127.0.0.1")
    assert done.returncode == 1
    assert len(hits) == 1


def test_what_is_no_host_cannot_be_allowed():
    for words in (["list", "fetch"], ["check", "url"]):
        done = bascule(*words, "--allow", "https://example.com/")
        assert done.returncode == 2
        assert "--allow" in done.stderr
        assert "it is no host" in done.stderr


def test_allow_is_for_fetch_alone():
    done = bascule("list", "sql", "--allow", "example.com")
    assert done.returncode == 2
    assert "--allow is for the ready-made server fetch" in done.stderr


def test_without_the_extra_the_command_names_it():
    code = (
        "import sys; sys.modules['hishel'] = None\nfrom bascule.cli.main import main\nsys.exit(main(['list', 'fetch']))"
    )
    done = bascule(code=code)
    assert done.returncode == 2
    assert "pip install 'bascule[fetch]'" in done.stderr
