"""What tasks and other extensions must be for their clients, over HTTP."""

import asyncio
import re
import threading

import httpx2
import pytest

from bascule import Context, MCPError, Server, ToolError
from tests.messages import META, PREFIX, headers, request
from tests.requirements.conftest import Door
from tests.serving import serving
from tests.transports.test_changes import Stream

EXTENSION = PREFIX + "tasks"
UNABLE = {**META, PREFIX + "clientCapabilities": {"elicitation": {}}}
ABLE = {**META, PREFIX + "clientCapabilities": {"elicitation": {}, "extensions": {EXTENSION: {}}}}
MISSING = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
SUBSCRIPTION = PREFIX + "subscriptionId"


@pytest.fixture
def app(tmp_path):
    app = Server("t")
    app.go = threading.Event()

    @app.tool(task="optional")
    async def work(ctx: Context) -> str:
        await asyncio.to_thread(app.go.wait, 10)
        await ctx.report_progress(1, 2)
        await ctx.warning("loud")
        return "done"

    @app.tool(task="optional")
    async def ask(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ctx.elicit(question, str, key=question)) for question in ("one", "two")]
        return " ".join(one.result().content for one in asked)

    @app.tool(task="required")
    async def unlucky() -> str:
        raise ToolError("no luck")

    @app.tool(task="optional")
    async def broken() -> str:
        raise MCPError("off the protocol", code=-32603, data={"a": 1})

    @app.tool
    async def form(ctx: Context) -> str:
        return (await ctx.elicit("Name?", str)).content

    skill = tmp_path / "skills" / "alpha"
    skill.mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: alpha\ndescription: Does alpha.\n---\n")
    app.skills(skill.parent)
    yield app
    app.go.set()


@pytest.fixture
def tasks(app):
    with serving(app) as running, httpx2.Client(timeout=10) as http:
        yield Door(running.url, http)
        app.go.set()


def begun(door, name, **options):
    """The task that a call becomes."""
    result = door.call(name, meta=ABLE, **options).json()["result"]
    assert result["resultType"] == "task", result
    return result


def about(door, verb, task, meta=ABLE, **params):
    """The answer to a request about a task."""
    sent = {"mcp-name": task["taskId"]}
    return door.ask(f"tasks/{verb}", {"taskId": task["taskId"], **params}, meta=meta, **sent).json()


def settled(door, task, status):
    """The task, once it has this status."""
    for _ in range(2000):
        found = about(door, "get", task)["result"]
        assert found["resultType"] == "complete"
        assert found["taskId"] == task["taskId"]
        if found["status"] == status:
            return found
    pytest.fail(f"still {found['status']}")


def accepted(value):
    return {"action": "accept", "content": {"value": value}}


def test_a_task_is_there_before_its_creation_is_told(tasks):
    task = begun(tasks, "work")
    with httpx2.Client(timeout=10) as other:
        assert about(Door(tasks.url, other), "get", task)["result"]["status"] == "working"


def test_each_status_is_told_with_what_belongs_to_it(app, tasks):
    parts = {"result", "error", "inputRequests"}
    working = begun(tasks, "work")
    assert not parts & set(settled(tasks, working, "working"))
    asking = begun(tasks, "ask")
    for _ in range(2000):  # the two questions are put one after the other
        asked = settled(tasks, asking, "input_required")
        if len(asked["inputRequests"]) == 2:
            break
    assert parts & set(asked) == {"inputRequests"}
    messages = {key: one["params"]["message"] for key, one in asked["inputRequests"].items()}
    assert sorted(messages.values()) == ["one", "two"]
    first, second = messages
    about(tasks, "update", asking, inputResponses={first: accepted(first)})
    assert set(settled(tasks, asking, "input_required")["inputRequests"]) == {second}
    about(tasks, "update", asking, inputResponses={second: accepted(second)})
    done = settled(tasks, asking, "completed")
    assert parts & set(done) == {"result"}
    assert done["result"]["structuredContent"] == {"result": "one two"}
    about(tasks, "cancel", working)
    assert not parts & set(settled(tasks, working, "cancelled"))
    failed = settled(tasks, begun(tasks, "broken"), "failed")
    assert parts & set(failed) == {"error"}
    assert failed["error"] == {"code": -32603, "message": "off the protocol", "data": {"a": 1}}


def test_a_failure_of_the_tool_is_a_result_and_completes_its_task(tasks):
    done = settled(tasks, begun(tasks, "unlucky"), "completed")
    assert done["result"]["isError"]
    assert done["result"]["content"][0]["text"] == "no luck"
    assert "error" not in done


def test_updates_and_cancellations_are_acknowledged_with_nothing(tasks):
    task = begun(tasks, "ask")
    settled(tasks, task, "input_required")
    for verb, params in (("update", {"inputResponses": {"one": accepted("x")}}), ("cancel", {})):
        result = about(tasks, verb, task, **params)["result"]
        result.pop("_meta")
        assert result == {"resultType": "complete"}


def test_a_client_without_the_extension_gets_no_task_and_may_look_after_none(app, tasks):
    task = begun(tasks, "work")
    app.go.set()
    plain = tasks.call("work", meta=UNABLE).json()["result"]
    assert (plain["resultType"], plain["structuredContent"]) == ("complete", {"result": "done"})
    listen = {"notifications": {"toolsListChanged": True, "taskIds": [task["taskId"]]}}
    for refused in (
        tasks.call("unlucky", meta=UNABLE).json(),
        about(tasks, "get", task, meta=UNABLE),
        about(tasks, "update", task, meta=UNABLE, inputResponses={}),
        about(tasks, "cancel", task, meta=UNABLE),
        tasks.ask("subscriptions/listen", listen, meta=UNABLE).json(),
    ):
        assert (refused["error"]["code"], refused["error"]["data"]) == (-32021, MISSING)
    assert settled(tasks, task, "completed"), "and nothing was done to it"


def test_a_task_that_is_not_there_is_invalid_params(tasks):
    nobody = {"taskId": "786512e2-9e0d-44bd-8f29-789f320fe840"}
    for verb, params in (("get", {}), ("update", {"inputResponses": {}}), ("cancel", {})):
        assert about(tasks, verb, nobody, **params)["error"]["code"] == -32602
    assert tasks.ask("tasks/get", {"taskId": 5}, meta=ABLE).json()["error"]["code"] == -32602


def test_a_task_speaks_to_its_listeners_through_its_status_alone(app, tasks):
    loud = {**ABLE, PREFIX + "logLevel": "debug"}
    created = tasks.call("work", meta={**loud, "progressToken": "p"})
    assert created.headers["content-type"] == "application/json"
    task = created.json()["result"]
    wanted = {"notifications": {"taskIds": [task["taskId"]]}}
    message = request("subscriptions/listen", wanted, id="s", meta={**loud, "progressToken": "q"})
    with tasks.http.stream("POST", tasks.url, json=message, headers=headers(message)) as response:
        stream = Stream(response)
        heard = [stream.next()]
        app.go.set()
        while heard[-1]["params"].get("status") != "completed":
            heard.append(stream.next())
    assert heard[0]["method"] == "notifications/subscriptions/acknowledged"
    assert {one["method"] for one in heard[1:]} == {"notifications/tasks"}
    assert {one["params"]["_meta"][SUBSCRIPTION] for one in heard} == {"s"}


def test_results_are_of_the_core_types_and_of_those_of_declared_extensions(tasks, door):
    assert "extensions" not in door.ask("server/discover").json()["result"]["capabilities"]
    assert EXTENSION in tasks.ask("server/discover").json()["result"]["capabilities"]["extensions"]
    assert tasks.call("form", meta=ABLE).json()["result"]["resultType"] == "input_required"
    task = begun(tasks, "work")
    answers = [about(tasks, verb, task) for verb in ("get", "cancel")]
    answers.append(about(tasks, "update", task, inputResponses={}))
    for at in (tasks, door):
        methods = ("server/discover", "tools/list", "resources/list")
        answers += [at.ask(method, meta=ABLE).json() for method in methods]
    answers.append(door.call("add", {"a": 1, "b": 2}, meta=ABLE).json())
    answers.append(door.ask("prompts/get", {"name": "brief", "arguments": {"city": "x"}}, meta=ABLE).json())
    assert {answer["result"]["resultType"] for answer in answers} == {"complete"}


def test_the_names_of_extensions_have_a_prefix_and_follow_the_rules(tasks):
    label = "[a-z]([a-z0-9-]*[a-z0-9])?"
    rule = re.compile(rf"{label}(\.{label})*/[a-z0-9]([a-z0-9._-]*[a-z0-9])?", re.IGNORECASE)
    names = set(tasks.ask("server/discover").json()["result"]["capabilities"]["extensions"])
    assert names == {EXTENSION, PREFIX + "skills"}
    assert all(rule.fullmatch(name) for name in names)


def test_names_of_tasks_cannot_be_guessed(tasks):
    names = [begun(tasks, "unlucky")["taskId"] for _ in range(50)]
    assert len(set(names)) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", name) for name in names), "at least 192 bits of six each"
    assert all(len(set(place)) > 10 for place in zip(*names, strict=True)), "of which none is the same in all"
