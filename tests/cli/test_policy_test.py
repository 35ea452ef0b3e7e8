"""`bascule policy test`: calls that really pass every guard, and never reach a function."""

import asyncio
import json
import re
from pathlib import Path
from typing import Annotated, Any

import pytest

from bascule import (
    Ask,
    CallToolResult,
    Client,
    ConfigError,
    Depends,
    MCPError,
    Principal,
    Server,
    TextContent,
    ToolError,
)
from bascule.cli import cases as case_file
from bascule.cli import trial as trials
from bascule.cli.cases import Case
from bascule.cli.trial import Trial
from bascule.engine.demands import Demands
from bascule.engine.settings import ApprovalSettings, AuditSettings, LimitSettings, Settings
from bascule.pipeline import Pipeline
from tests.cli.command import at_a_terminal, run
from tests.cli.policies import cities, ran

ERAS = ["modern", "legacy"]
OSLO = {"city": "Oslo"}


async def refusing() -> Any:
    raise AssertionError("a dependency was made")


def never(*_given: Any, **_named: Any) -> Any:
    raise AssertionError("a function of the server ran")


def shop(**guards: Any) -> Server:
    app = Server("shop", lifespan=never, cache_ttl_ms=60_000)

    @app.tool(**guards)
    def drop(city: str, pool: Annotated[Any, Depends(refusing)], days: int = 1) -> dict[str, str]:
        return never()

    @app.resource("city://{name}/{days}", list=never, **guards)
    def city(name: str, days: int) -> str:
        return never()

    @app.prompt(**guards)
    def describe(city: str, tone: Annotated[str, Ask("Which tone?")], words: int = 10) -> str:
        return never()

    return app


CALLS: dict[str, dict[str, Any]] = {
    "tool": {"tool": "drop", "arguments": OSLO},
    "resource": {"resource": "city://oslo/3"},
    "prompt": {"prompt": "describe", "arguments": OSLO},
}


async def tried(
    app: Server, *cases: Case, settings: Settings | None = None, **principals: Principal
) -> list[list[tuple[str, str | None]]]:
    """What became of each case, and which guard decided, in each era."""
    trial = Trial(app, settings or Settings(), principals)
    trial.check(cases)
    return [[(came.outcome, came.guard) for came in one.came] async for one in trial.run(cases)]


def names_in(place: Path) -> set[str]:
    return {file.name for file in place.iterdir()} - {"__pycache__"}


def both(outcome: str, guard: str | None = None) -> list[tuple[str, str | None]]:
    return [(outcome, guard)] * 2


@pytest.mark.parametrize("kind", CALLS)
async def test_what_no_guard_refuses_is_allowed_and_nothing_of_the_author_runs(kind: str) -> None:
    app = shop(scopes=["a"])
    case = CALLS[kind]
    found = await tried(
        app,
        Case(**case, expect="allowed"),
        Case(**case, expect="allowed", scopes=("a",)),
        Case(**case, expect="missing_scope", scopes=("b",)),
        Case(**case, expect="missing_scope", scopes=()),
        Case(**case, expect="missing_scope", principal="anonymous"),
        anonymous=Principal(),
    )
    assert found == [both("allowed"), both("allowed"), *[both("missing_scope", "scopes")] * 3]


@pytest.mark.parametrize(
    "case",
    [
        {"tool": "drop", "arguments": {"town": "Oslo"}},
        {"tool": "drop", "arguments": {"city": "Oslo", "days": "many"}},
        {"resource": "city://oslo/many"},
        {"prompt": "describe", "arguments": {"city": "Oslo", "words": "many"}},
    ],
)
@pytest.mark.parametrize("confirm", [None, True])
async def test_arguments_are_checked_before_anybody_is_asked(case: dict[str, Any], confirm: Any) -> None:
    app = shop(confirm=confirm)
    assert await tried(app, Case(**case, expect="x", answer="accept")) == [both("invalid_arguments", "arguments")]


@pytest.mark.parametrize("kind", CALLS)
async def test_the_user_is_really_asked(kind: str) -> None:
    case = CALLS[kind]
    found = await tried(
        shop(confirm=True),
        Case(**case, expect="x", answer="accept"),
        Case(**case, expect="x", answer="decline"),
        Case(**case, expect="x", answer="cancel"),
        Case(**case, expect="x"),
    )
    declined = both("confirmation_declined", "confirm")
    assert found == [both("allowed"), declined, declined, both("missing_capability", "confirm")]


@pytest.mark.parametrize("kind", CALLS)
async def test_of_several_calls_the_last_is_looked_at(kind: str) -> None:
    app, case = shop(rate="3/min"), CALLS[kind]
    found = await tried(app, Case(**case, expect="x", times=3), Case(**case, expect="x", times=4))
    assert found == [both("allowed"), both("rate_limited", "rate_limit")]


@pytest.mark.parametrize(
    "who", [{}, {"scopes": ("a",)}, {"principal": "key"}, {"principal": "anonymous"}], ids=lambda who: "".join(who)
)
async def test_only_calls_with_the_same_caller_share_limits(who: dict[str, Any]) -> None:
    known = {"key": Principal("keys", "ci", anonymous=False), "anonymous": Principal()}

    def call(caller: str | None) -> Case:
        return Case(tool="drop", arguments=OSLO, expect="x", times=2, caller=caller, **who)

    found = await tried(shop(rate="3/min"), *map(call, ["ann", "bob", None, None, "ann"]), **known)
    assert found == [*[both("allowed")] * 4, both("rate_limited", "rate_limit")]


async def test_one_caller_with_other_scopes_is_the_same_caller() -> None:
    call = {"tool": "drop", "arguments": OSLO, "expect": "x", "caller": "ann", "times": 2}
    found = await tried(shop(rate="3/min"), Case(**call, scopes=("a",)), Case(**call, scopes=("b",)))
    assert found == [both("allowed"), both("rate_limited", "rate_limit")]


async def test_the_settings_decide_too() -> None:
    settings = Settings(
        policy={"drop": Demands(deny=True), "describe": Demands(scopes=("x",))}, limits=LimitSettings(rate="1/min")
    )
    found = await tried(
        shop(),
        Case(tool="drop", arguments=OSLO, expect="x"),
        Case(prompt="describe", arguments=OSLO, expect="x", scopes=("y",)),
        Case(resource="city://oslo/1", expect="x", scopes=("y",), times=2),
        Case(resource="city://oslo/1", expect="x", times=2),
        settings=settings,
    )
    assert found == [
        both("permission_denied", "scopes"),
        both("missing_scope", "scopes"),
        both("rate_limited", "rate_limit"),
        both("allowed"),
    ]


async def test_repeated_calls_are_braked() -> None:
    case = Case(tool="drop", arguments=OSLO, expect="x", times=21)
    assert await tried(shop(), case) == [both("repeated_call", "repeats")]


async def test_one_era_alone_can_be_tried() -> None:
    found = await tried(shop(), *(Case(tool="drop", arguments=OSLO, expect="x", era=era) for era in ERAS))
    assert found == [[("allowed", None)]] * 2


async def test_authors_guards_run_and_are_called_by_their_names() -> None:
    app = shop()

    def closed(next: Any, feature: Any) -> Any:
        async def guarded(exchange: Any) -> Any:
            raise ToolError("closed")

        return guarded if feature.kind == "tool" else next

    app.guard(closed)
    parent = Server("parent")
    parent.mount(app, prefix="shop")
    cases = [
        Case(tool="drop", arguments=OSLO, expect="tool_failed", guard="closed"),
        Case(resource="city://oslo/1", expect="allowed"),
    ]
    assert await tried(app, *cases) == [both("tool_failed", "closed"), both("allowed")]
    assert await tried(parent, Case(tool="shop_drop", arguments=OSLO, expect="x")) == [both("tool_failed", "closed")]


async def test_what_a_guard_answers_itself_is_not_taken_for_allowed() -> None:
    app = shop()

    def cached(next: Any, feature: Any) -> Any:
        async def guarded(exchange: Any) -> Any:
            return CallToolResult(content=[TextContent("allowed")])

        return guarded

    app.guard(cached, before="timeout")
    assert await tried(app, Case(tool="drop", arguments=OSLO, expect="x")) == [both("answered", "cached")]


async def test_a_guard_that_would_end_the_process_is_a_failed_call() -> None:
    app = shop()

    def leaves(next: Any, feature: Any) -> Any:
        async def guarded(exchange: Any) -> Any:
            raise SystemExit(0)

        return guarded

    app.guard(leaves)
    assert await tried(app, Case(tool="drop", arguments=OSLO, expect="x")) == [both("internal", "leaves")]


async def test_a_guard_that_hangs_is_a_call_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "TIMEOUT", 0.05)
    app = shop()

    def hangs(next: Any, feature: Any) -> Any:
        async def guarded(exchange: Any) -> Any:
            await asyncio.Event().wait()

        return guarded

    app.guard(hangs, before="load")
    (found,) = await tried(app, Case(tool="drop", arguments=OSLO, expect="x"))
    assert [outcome for outcome, _ in found] == ["no_answer"] * 2


async def test_a_tool_that_must_become_a_task_begins_none() -> None:
    app = Server("t")
    app.tool(task="required", name="export")(lambda: never())
    assert await tried(app, Case(tool="export", expect="x", times=3)) == [both("allowed")]


async def test_completions_and_lists_of_the_author_are_not_there() -> None:
    app = shop()
    app.completion(argument="name", resource="city://{name}/{days}")(lambda value: never())
    app.completion(argument="city", prompt="describe")(lambda value: never())
    for era in ERAS:
        async with Client(app.rehearsal(Pipeline(Settings())), era=era) as client:
            assert await client.list_resources() == []
            assert client.capabilities.completions is None
            with pytest.raises(MCPError, match="Method not found"):
                await client.complete(prompt="describe", argument="city", value="O")


async def test_nothing_outside_of_the_process_is_touched(tmp_path: Path) -> None:
    settings = Settings(
        audit=AuditSettings(file=str(tmp_path / "audit.jsonl")),
        approvals=ApprovalSettings(file=str(tmp_path / "approvals.db")),
        limits=LimitSettings(redis_url="redis://127.0.0.1:1/0", fail="closed"),
    )
    app = shop(confirm="queue")
    found = await tried(
        app,
        Case(tool="drop", arguments=OSLO, expect="x", scopes=("a",)),
        Case(tool="drop", arguments=OSLO, expect="x", scopes=("a",), answer="accept"),
        settings=settings,
    )
    assert found == [both("confirmation_required", "confirm"), both("allowed")]
    assert names_in(tmp_path) == set()


async def test_the_server_itself_is_as_it_was() -> None:
    app = Server("t")

    @app.tool
    def works() -> str:
        return "worked"

    before = app._registry.tools["works"]
    assert await tried(app, Case(tool="works", expect="x")) == [both("allowed")]
    assert app._registry.tools["works"] is before


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"tool": "dorp"}, r"\[\[call\]\] 1: the server has no tool 'dorp'; did you mean 'drop'\?"),
        ({"resource": "town://oslo"}, r"has no resource 'town://oslo'"),
        ({"prompt": "drop"}, r"has no prompt 'drop'; there is describe"),
        ({"tool": "drop", "guard": "scope"}, r"there is no guard 'scope'; did you mean 'scopes'\?"),
        ({"tool": "drop", "guard": "telemetry"}, r"there is no guard 'telemetry'"),
    ],
)
def test_what_the_server_does_not_have_is_an_error_with_a_hint(case: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Trial(shop(), Settings(), {}).check([Case(**case, expect="x")])


CALL = '[[call]]\ntool = "a"\nexpect = "allowed"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"has no \[\[call\]\]"),
        ("call = 3", r"has no \[\[call\]\]"),
        ("call = [3]", r"\[\[call\]\] 1 must be a table"),
        ("x = [", "not valid TOML"),
        (f"a = {'[' * 5000}", "not valid TOML"),
        (f'tarjet = "x.py"\n{CALL}', "'tarjet'; did you mean 'target'"),
        (f"target = 3\n{CALL}", "target does not fit"),
        (f'{CALL}exepct = "x"', r"\[\[call\]\] 1 has .* 'exepct'; did you mean 'expect'"),
        (f'{CALL}name = "one"\nscope = []', r"1 \('one'\) has .* 'scope'; did you mean 'scopes'"),
        (f'{CALL}prompt = "b"', "one of tool, resource and prompt"),
        ('[[call]]\nexpect = "allowed"', "one of tool, resource and prompt"),
        ('[[call]]\ntool = "a"', "must say what it expects"),
        (f"{CALL}times = 0", "times does not fit"),
        (f"{CALL}times = 10001", "times does not fit"),
        ((f"{CALL}times = 10000\n") * 11, "more than 100000 calls"),
        (f'{CALL}answer = "yes"', "answer does not fit"),
        (f'{CALL}era = "old"', "era does not fit"),
        (f'{CALL}scopes = "a"', "scopes does not fit"),
        (f'{CALL}scopes = ["a b"]', "'a b' is no scope"),
        (f'{CALL}scopes = []\nprincipal = "ci"', "give one of the two"),
        (f'{CALL}guard = "scopes"', "none refuses what is allowed"),
        (f"{CALL}arguments = {{ a = nan }}", "JSON cannot say"),
        (f"{CALL}arguments = {{ a = [{{ b = -inf }}] }}", "JSON cannot say"),
        ('[[call]]\nprompt = "a"\nexpect = "x"\narguments = { a = 1 }', "that are no text"),
        ('[[call]]\nresource = "a://b"\nexpect = "x"\narguments = { a = 1 }', "stand in its URI"),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        case_file.read(str(file))


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("a.py", "{}/a.py"),
        ("sub/a.py:app", "{}/sub/a.py:app"),
        ("acme.tools:app", "acme.tools:app"),
        ("sql", "sql"),
    ],
)
def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path, target: str, seen: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(f'target = "{target}"\nconfig = "other.toml"\n{CALL}')
    found = case_file.read(str(file))
    assert found.target == seen.format(tmp_path)
    assert found.config == f"{tmp_path}/other.toml"


POLICY = """
target = "cities.py"

[[call]]
name = "nobody drops a city unasked"
tool = "drop_city"
arguments = { city = "Oslo" }
answer = "decline"
expect = "confirmation_declined"
guard = "confirm"

[[call]]
tool = "weather"
arguments = { city = "Oslo" }
principal = "ci"
expect = "allowed"

[[call]]
tool = "drop_city"
arguments = { city = "Oslo" }
answer = "accept"
expect = "allowed"
"""


def policy(place: Path, text: str = POLICY) -> Path:
    cities(place)
    (place / "policy.toml").write_text(text)
    run("keys", "create", "--name", "ci", "--scopes", "tools:read", cwd=place)
    return place


def test_the_command_tells_of_each_call_and_runs_no_function(tmp_path):
    place = policy(tmp_path)
    before = names_in(place)
    done = run("policy", "test", "policy.toml", "--keys", "keys.db", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok      nobody drops a city unasked: confirmation_declined by confirm",
        "ok      call 2, tool weather: allowed",
        "ok      call 3, tool drop_city: allowed",
        "3 calls, none failed",
    ]
    assert ran(place) == []
    assert names_in(place) == before


def test_a_failed_call_says_what_came_instead_and_ends_with_1(tmp_path):
    place = policy(tmp_path, POLICY.replace('expect = "confirmation_declined"', 'expect = "missing_scope"'))
    done = run("policy", "test", "policy.toml", "--keys", "keys.db", cwd=place)
    assert done.returncode == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith("FAILED  nobody drops a city unasked: expected missing_scope by confirm, but it was")
    assert "in the modern era confirmation_declined by confirm (The user was asked" in first
    assert "in the legacy era confirmation_declined by confirm" in first
    assert done.stdout.endswith("3 calls, 1 failed\n")
    done = run("policy", "test", "policy.toml", "--keys", "keys.db", "--json", cwd=place)
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["failed"]) == (1, False, 1)
    assert [one["ok"] for one in found["calls"]] == [False, True, True]
    assert found["calls"][0]["came"][0]["outcome"] == "confirmation_declined"
    assert [came["era"] for came in found["calls"][1]["came"]] == ERAS


def test_the_example_of_the_documentation_gives_what_is_printed_there(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "guards.md").read_text()
    server = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    file = re.search(r"```toml\n# policy.toml\n(.*?)```", page, re.DOTALL)
    printed = re.search(r"\$ bascule policy test policy.toml\n(.*?)```", page, re.DOTALL)
    assert file
    assert printed
    (tmp_path / "cities.py").write_text(server)
    (tmp_path / "policy.toml").write_text(file[1])
    done = run("policy", "test", "policy.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, printed[1])


def test_the_ready_made_server_is_tried_without_its_database(tmp_path):
    call = '[[call]]\ntool = "query_database"\narguments = { sql = "select 1" }\nexpect = "allowed"\n'
    (tmp_path / "policy.toml").write_text(f'target = "sql"\n{call}')
    done = run("policy", "test", "policy.toml", "--db", f"sqlite:///{tmp_path}/absent.db", cwd=tmp_path)
    assert (done.returncode, names_in(tmp_path)) == (0, {"policy.toml"})


def test_the_target_on_the_command_line_wins(tmp_path):
    place = policy(tmp_path, 'target = "absent.py"\n[[call]]\ntool = "often"\nexpect = "allowed"\n')
    assert run("policy", "test", "policy.toml", cwd=place).returncode == 2
    done = run("policy", "test", "policy.toml", "cities.py", cwd=place)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1 call, none failed")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "takes one FILE"),
        (["absent.toml"], "cannot be read"),
        (["policy.toml", "cities.py"], "did you mean 'often'?"),
        (["policy.toml"], "Which server?"),
    ],
)
def test_wrong_use_ends_with_2(tmp_path, words, said):
    cities(tmp_path)
    (tmp_path / "policy.toml").write_text('[[call]]\ntool = "ofen"\nexpect = "allowed"\n')
    done = run("policy", "test", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_hostile_names_steer_no_terminal_and_forge_no_line(tmp_path):
    cities(tmp_path)
    name = r'name = "a\nok      forged: allowed\u001b[2J\u202e"'
    (tmp_path / "policy.toml").write_text(f'[[call]]\n{name}\ntool = "often"\nexpect = "x\\n\\u001b[31m"\n')
    done = run("policy", "test", "policy.toml", "cities.py", cwd=tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    shown = at_a_terminal("policy", "test", "policy.toml", "cities.py", "--json", cwd=tmp_path).shown
    assert "\x1b[2J" not in shown


def test_a_server_that_prints_does_not_reach_the_answer(tmp_path):
    place = policy(tmp_path)
    (place / "cities.py").write_text("print('at import')\n" + (place / "cities.py").read_text())
    done = run("policy", "test", "policy.toml", "--keys", "keys.db", "--json", cwd=place)
    assert json.loads(done.stdout)["ok"]
