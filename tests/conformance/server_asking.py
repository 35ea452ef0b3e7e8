"""The fixtures that ask the client, tell it of changes, or let it go: part of the suite's server."""

import asyncio
from typing import Any

from bascule import Context, Elicit, Roots, Sample, Server

NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
OK = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}

DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
    "required": [],
}


def titled(*values: str) -> list[dict[str, str]]:
    return [{"const": value, "title": value.capitalize()} for value in values]


OPTIONS = ["option1", "option2", "option3"]
VALUES = ("value1", "value2", "value3")
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {"type": "string", "oneOf": titled(*VALUES)},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled(*VALUES)}},
    },
    "required": [],
}


def declare_questions(app: Server) -> None:
    """Declare all of them."""
    _over_the_back_channel(app)
    _in_rounds(app)
    _in_several_rounds(app)
    _changes(app)


def _over_the_back_channel(app: Server) -> None:
    @app.tool
    async def test_sampling(prompt: str, ctx: Context) -> str:
        """Asks the client's model."""
        return f"LLM response: {(await ctx.sample(prompt, max_tokens=100)).text}"

    @app.tool
    async def test_elicitation(message: str, ctx: Context) -> str:
        """Asks the user for a name and an address."""
        fields = {"username": {"type": "string"}, "email": {"type": "string"}}
        answer = await ctx.elicit(message, {"type": "object", "properties": fields, "required": list(fields)})
        return f"User response: action={answer.action}, content={answer.content}"

    @app.tool
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        """Asks with a default in each field."""
        answer = await ctx.elicit("Please check these fields", DEFAULTS)
        return f"Elicitation completed: action={answer.action}, content={answer.content}"

    @app.tool
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        """Asks with every form of choice."""
        answer = await ctx.elicit("Please choose", ENUMS)
        return f"Elicitation completed: action={answer.action}, content={answer.content}"

    @app.tool
    async def test_reconnection(ctx: Context) -> str:
        """Lets the client go and come back for the answer."""
        await ctx.release_stream(0.1)
        await asyncio.sleep(0.1)
        return "Reconnection test completed."

    @app.tool
    async def test_streaming_elicitation(ctx: Context) -> str:
        """Asks at once."""
        return f"Answered: {(await ctx.elicit('What is your name?', NAME, key='user_name')).action}"

    @app.tool
    async def test_missing_capability(ctx: Context) -> str:
        """Needs a client with a model."""
        return (await ctx.sample("Hello", max_tokens=10)).text


def _in_rounds(app: Server) -> None:
    @app.tool
    async def test_input_required_result_elicitation(ctx: Context) -> str:
        """Asks for a name."""
        answer = await ctx.elicit("What is your name?", NAME, key="user_name")
        return f"Hello, {answer.content['name']}!" if answer.accepted else "Hello!"

    @app.tool
    async def test_input_required_result_sampling(ctx: Context) -> str:
        """Asks the client's model."""
        return (await ctx.sample("What is the capital of France?", max_tokens=100, key="capital_question")).text

    @app.tool
    async def test_input_required_result_list_roots(ctx: Context) -> str:
        """Asks for the roots."""
        return f"Roots: {[root.uri for root in await ctx.roots(key='client_roots')]}"

    @app.tool
    async def test_input_required_result_request_state(ctx: Context) -> str:
        """Asks, and knows its own state again."""
        await ctx.once("state", lambda: "ok")
        await ctx.elicit("Please confirm", OK, key="confirm")
        return f"state-{await ctx.once('state', lambda: 'lost')}"

    @app.tool
    async def test_input_required_result_tampered_state(ctx: Context) -> str:
        """Asks; changed state is refused."""
        return f"Confirmed: {(await ctx.elicit('Please confirm', OK, key='confirm')).action}"

    @app.tool
    async def test_input_required_result_capabilities(ctx: Context) -> str:
        """Asks only what the client can answer."""
        if ctx.client.can("elicitation"):
            return f"Asked the user: {(await ctx.elicit('Your name?', NAME, key='user_name')).action}"
        return (await ctx.sample("Say hello", max_tokens=50, key="greeting")).text

    @app.prompt
    async def test_input_required_result_prompt(ctx: Context) -> str:
        """Asks for a context first."""
        fields = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
        answer = await ctx.elicit("What is the context?", fields, key="user_context")
        return f"Use this context: {answer.content}"


def _in_several_rounds(app: Server) -> None:
    @app.tool
    async def test_input_required_result_multiple_inputs(ctx: Context) -> str:
        """Asks three things at once."""
        found = await ctx.ask_all(
            {
                "user_name": Elicit("What is your name?", NAME),
                "greeting": Sample("Write a greeting", max_tokens=50),
                "client_roots": Roots(),
            }
        )
        return f"{found['greeting'].text} {found['user_name'].content}, {len(found['client_roots'])} roots"

    @app.tool
    async def test_input_required_result_multi_round(ctx: Context) -> str:
        """Asks twice, one after the other."""
        colours: dict[str, Any] = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
        name = await ctx.elicit("What is your name?", NAME, key="step1")
        colour = await ctx.elicit("What is your favourite colour?", colours, key="step2")
        return f"{name.content} likes {colour.content}"


def _changes(app: Server) -> None:
    async def temporary() -> str:
        """Is there for a moment."""
        return "temporary"

    @app.tool
    async def test_trigger_tool_change() -> str:
        """Changes the list of tools."""
        app.tool(name="temporary")(temporary)
        app.remove_tool("temporary")
        return "The tools have changed."

    @app.tool
    async def test_trigger_prompt_change() -> str:
        """Changes the list of prompts."""
        app.prompt(name="temporary")(temporary)
        app.remove_prompt("temporary")
        return "The prompts have changed."
