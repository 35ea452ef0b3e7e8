"""The runner behind `make conformance`: the public suite against the fixture server and the fixture client.

    python -m tests.conformance.run [--leg server|client] [SCENARIO …]

Runs what the two requirement sets name, the scenarios that they do not score included, and those of EXTRA. The server
leg runs a whole set at once; the client leg runs scenarios singly, two at a time, because started together they starve
each other. The verdict is read from each scenario's `checks.json`, not from the suite's exit code, which hides warnings
and crashes: a scenario passes if it checked something, and nothing failed or warned. `expected-failures.yml` lists what
does not pass yet; an entry that passes is an error, as is a failure that has no entry. Results stay in `.conformance/`.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = ROOT / ".conformance"
VERDICT = "verdict.txt"
SUITE = HERE / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
REVISIONS = ("2025-11-25", "2026-07-28")
EXTRA = ("sep-2640-skills-directory", "sep-2640-skills-enumeration", "sep-2640-skills-manifest")
"""Scenarios of extensions that no requirement set names."""

LEGS = ("server", "client")
SECONDS = 30  # for one scenario


class Case(NamedTuple):
    """One scenario on one wire."""

    leg: str
    scenario: str
    revision: str

    def __str__(self) -> str:
        return f"{self.leg} {self.scenario}@{self.revision}"


class Outcome(NamedTuple):
    """How many checks passed, and a sentence for each thing that went wrong."""

    passed: int
    faults: list[str]


def find_node() -> str | None:
    """The pinned Node.js, or the machine's own where it is new enough for the suite."""
    pinned = sorted((HERE / "node_modules").glob("node-*/bin/node"))
    own = shutil.which("node")
    for candidate in [str(path) for path in pinned] + ([own] if own else []):
        version = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        if re.match(r"v(2[2-9]|[3-9]\d)\.", version):
            return candidate
    return None


class Suite:
    """The public suite, as a program."""

    def __init__(self, node: str) -> None:
        self.command = [node, "--no-deprecation", str(SUITE)]

    def run(self, *arguments: str, seconds: float) -> tuple[int, str]:
        """Run to the end, or for so many seconds; the exit status and what was printed."""
        command = [*self.command, *arguments]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        try:
            done = subprocess.run(command, cwd=ROOT, timeout=seconds, check=False, **output)
        except subprocess.TimeoutExpired:
            return 124, f"the suite did not end within {seconds:.0f} s"
        return done.returncode, done.stdout

    def cases(self) -> list[Case]:
        """What the requirement sets name, in their order."""
        found = []
        for revision in REVISIONS:
            leg = ""
            for line in self.run("list", "--requirements", revision, seconds=SECONDS)[1].splitlines():
                heading = re.match(r"(Server|Client) scenarios", line)
                entry = re.match(r"\s+- (\S+)(?: \[(\w+)\])?$", line)
                if heading:
                    leg = heading[1].lower()
                elif entry:
                    found.append(Case(entry[2] or leg, entry[1], revision))
        return found + [Case("server", scenario, REVISIONS[-1]) for scenario in EXTRA]


def judge(directory: Path, case: Case) -> Outcome:
    """Read the newest `checks.json` of a scenario below the directory."""
    name = f"server-{case.scenario}" if case.leg == "server" else case.scenario
    written = sorted(directory.glob(f"{name}-20*/checks.json"))
    if not written:
        return Outcome(0, ["no checks.json: the scenario did not run to its end"])
    checks = json.loads(written[-1].read_text())
    faults = [
        f"{check['status'].lower()}: {check['id']}: {check.get('errorMessage') or check.get('description')}"
        for check in checks
        if check["status"] in {"FAILURE", "WARNING"}
    ]
    passed = [check["id"] for check in checks if check["status"] == "SUCCESS"]
    if not faults and not set(passed) - {"wire-schema-valid"}:
        faults = ["nothing was checked"]
    return Outcome(len(passed), faults)


def run_server_leg(suite: Suite, cases: list[Case], whole: bool) -> dict[Case, Outcome]:
    """Each revision's cases against one fixture server: the whole set in one go, or the chosen ones singly."""
    outcomes = {}
    with fixture_server() as url:
        for revision in REVISIONS:
            wanted = [case for case in cases if case.revision == revision]
            directory = RESULTS / "server" / revision
            place = ["server", "--url", url, "-o", str(directory), "--timeout", str(SECONDS * 1000)]
            if whole:
                _, said = suite.run(*place, "--requirements", revision, seconds=SECONDS * 20)
                (RESULTS / f"server-{revision}.txt").write_text(said)
            for case in wanted:
                if not whole or case.scenario in EXTRA:
                    single = ["--scenario", case.scenario, "--spec-version", revision, "--force"]
                    suite.run(*place, *single, seconds=SECONDS * 2)
            outcomes.update({case: judge(directory, case) for case in wanted})
    return outcomes


@contextmanager
def fixture_server() -> Iterator[str]:
    """The fixture server on a free port; its address. What it prints goes to `.conformance/server.txt`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = RESULTS / "server.txt"
    with log.open("w") as output:
        command = [sys.executable, "-m", "tests.conformance.server", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        if not listens(server, port):
            sys.exit(f"conformance: the fixture server did not start:\n{log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def listens(server: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the port accepts a connection; False if the process ends first, or after 20 seconds."""
    deadline = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def run_client_leg(suite: Suite, cases: list[Case]) -> dict[Case, Outcome]:
    """Each case by itself, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(cases, pool.map(lambda case: run_client(suite, case), cases), strict=True))


def run_client(suite: Suite, case: Case) -> Outcome:
    """One scenario against the fixture client. Singly, the suite's exit status tells of crashes and time-outs."""
    directory = RESULTS / "client" / case.revision
    command = f"{sys.executable} -m tests.conformance.client"
    chosen = ["--scenario", case.scenario, "--spec-version", case.revision, "--force"]
    limit = ["--timeout", str(SECONDS * 1000), "-o", str(directory)]
    status, said = suite.run("client", "--command", command, *chosen, *limit, seconds=SECONDS * 2)
    outcome = judge(directory, case)
    if status and not outcome.faults:
        outcome.faults.append(next((line for line in said.splitlines() if "CLIENT" in line), f"exit status {status}"))
    return outcome


def expected_failures(text: str) -> set[tuple[str, str]]:
    """The entries of `expected-failures.yml`: leg and `scenario` or `scenario@REVISION`."""
    found, leg = set(), ""
    for line in text.splitlines():
        content = line.partition("#")[0].rstrip()
        if content in {f"{name}:" for name in LEGS}:
            leg = content.removesuffix(":")
        elif content.strip():
            found.add((leg, content.strip().removeprefix("- ")))
    return found


def entries_for(case: Case) -> set[tuple[str, str]]:
    """The entries that would expect this case to fail."""
    return {(case.leg, case.scenario), (case.leg, f"{case.scenario}@{case.revision}")}


def compare(outcomes: dict[Case, Outcome], expected: set[tuple[str, str]], known: list[Case]) -> list[str]:
    """What is wrong: failures that nobody expects (the first of each), entries that pass, entries that name nothing."""
    wrong = []
    for case, outcome in outcomes.items():
        listed = bool(entries_for(case) & expected)
        if outcome.faults and not listed:
            wrong += [f"{case}: {fault}" for fault in outcome.faults[:3]]
        elif listed and not outcome.faults:
            wrong.append(f"{case}: stale: it passes, so take it off expected-failures.yml")
    named = {entry for case in known for entry in entries_for(case)}
    return wrong + [f"{leg} {name}: listed in expected-failures.yml, unknown" for leg, name in sorted(expected - named)]


def show(outcomes: dict[Case, Outcome], expected: set[tuple[str, str]]) -> None:
    """A row for each scenario, a column for each wire: checks passed, or how many things went wrong."""
    for leg in LEGS:
        scenarios = list(dict.fromkeys(case.scenario for case in outcomes if case.leg == leg))
        if scenarios:
            print(f"\n{leg + ' scenario':46}" + "".join(f"{revision:>18}" for revision in REVISIONS))
        for scenario in scenarios:
            cells = (cell(Case(leg, scenario, revision), outcomes, expected) for revision in REVISIONS)
            print(f"{scenario:46}" + "".join(f"{text:>18}" for text in cells))


def cell(case: Case, outcomes: dict[Case, Outcome], expected: set[tuple[str, str]]) -> str:
    if case not in outcomes:
        return "-"
    outcome, listed = outcomes[case], bool(entries_for(case) & expected)
    if not outcome.faults:
        return "STALE" if listed else f"ok {outcome.passed}"
    return "expected" if listed else f"FAILED {len(outcome.faults)}"


def chosen_cases(suite: Suite, arguments: argparse.Namespace) -> tuple[list[Case], list[Case]]:
    """All cases, and those that the arguments choose."""
    known = suite.cases()
    if not known:
        sys.exit("conformance: the suite lists no scenarios")
    unknown = set(arguments.scenarios) - {case.scenario for case in known}
    if unknown:
        sys.exit(f"conformance: no such scenario: {', '.join(sorted(unknown))}")
    wanted = [case for case in known if case.leg in (arguments.leg or LEGS)]
    return known, [case for case in wanted if not arguments.scenarios or case.scenario in arguments.scenarios]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leg", choices=LEGS, help="only the server's or only the client's scenarios")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="only these")
    arguments = parser.parse_args()
    node = find_node()
    if node is None or not SUITE.exists():
        print("conformance: SKIPPED: the suite or Node.js 22 is missing; `make npm` fetches both", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0

    started = time.monotonic()
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir()
    suite = Suite(node)
    known, chosen = chosen_cases(suite, arguments)
    legs = {leg: [case for case in chosen if case.leg == leg] for leg in LEGS}
    outcomes: dict[Case, Outcome] = {}
    if legs["server"]:
        outcomes |= run_server_leg(suite, legs["server"], whole=not arguments.scenarios)
    if legs["client"]:
        outcomes |= run_client_leg(suite, legs["client"])

    expected = expected_failures((HERE / "expected-failures.yml").read_text())
    wrong = compare(outcomes, expected, known)
    show(outcomes, expected)
    print()
    passing = sum(not outcome.faults for outcome in outcomes.values())
    took = f"in {time.monotonic() - started:.0f} s, details in {RESULTS.name}/"
    verdict = [*wrong, f"{passing} of {len(outcomes)} pass, {len(wrong)} surprises, {took}"]
    (RESULTS / VERDICT).write_text("".join(f"conformance: {line}\n" for line in verdict))
    print((RESULTS / VERDICT).read_text(), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
