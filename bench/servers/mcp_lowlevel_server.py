"""The official Python SDK's low-level server: `mcp_lowlevel_server.py stdio | http PORT`, with JSON replies.

The schemas are written by hand and kept at hand, and the arguments are not checked. BENCH_TOOLS is how many tools it
has in all.
"""

import asyncio
import logging
import os
import sys

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

INTEGERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
COUNT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def output(kind):
    return {"type": "object", "properties": {"result": {"type": kind}}, "required": ["result"]}


def tool(name, description, given, kind):
    return types.Tool(name=name, description=description, input_schema=given, output_schema=output(kind))


TOOLS = types.ListToolsResult(
    tools=[
        tool("add", "Add two numbers.", INTEGERS, "integer"),
        tool("echo", "Return the text.", TEXT, "string"),
        tool("big", "Return n kilobytes of text.", COUNT, "string"),
        tool("steps", "Send n progress notices.", COUNT, "string"),
        *(
            tool(f"add_{number}", "Add two numbers.", INTEGERS, "integer")
            for number in range(4, int(os.environ.get("BENCH_TOOLS", "4")))
        ),
    ]
)

SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS.tools}


async def list_tools(ctx, params):
    return TOOLS


async def call_tool(ctx, params):
    given = params.arguments or {}
    if params.name == "add":
        value = given["a"] + given["b"]
    elif params.name == "echo":
        value = given["text"]
    elif params.name == "big":
        value = "x" * (given["n"] * 1024)
    else:
        for step in range(1, given["n"] + 1):
            await ctx.session.report_progress(step, given["n"])
        value = f"{given['n']} steps"
    content = [types.TextContent(type="text", text=str(value))]
    return types.CallToolResult(content=content, structured_content={"result": value})


async def list_resources(ctx, params):
    return types.ListResourcesResult(
        resources=[types.Resource(uri="bench://greeting", name="greeting", mime_type="text/plain")]
    )


async def read_resource(ctx, params):
    found = types.TextResourceContents(uri=params.uri, mime_type="text/plain", text="Hello")
    return types.ReadResourceResult(contents=[found])


server = Server(
    "bench",
    version="1",
    get_tool_input_schema=SCHEMAS.get,
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_resources,
    on_read_resource=read_resource,
)


async def serve_stdio():
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    logging.getLogger("mcp").setLevel("WARNING")
    if sys.argv[1] == "http":
        app = server.streamable_http_app(json_response=True, max_sessions=None)
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="warning", ws="none")
    else:
        asyncio.run(serve_stdio())
