"""The server that the public conformance suite calls: `python -m tests.conformance.server --port N`.

Written with the public names only, as any author would write it. Names and texts are the suite's.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from bascule import (
    AudioContent,
    Context,
    EmbeddedResource,
    ImageContent,
    PromptMessage,
    ResourceContents,
    Server,
    TextContent,
    ToolError,
)
from tests.conformance.server_asking import declare_questions
from tests.conformance.server_tasks import declare_tasks

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
WAV = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=="
PAUSE = 0.05  # seconds between the steps of tools that report while they work

app = Server("conformance", version="1.0.0")


def text_resource(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(ResourceContents(uri, mime_type=mime_type, text=text))


def user(content: Any) -> PromptMessage:
    return PromptMessage("user", content)


# The first tool must be callable without arguments: one scenario calls whatever is listed first.
@app.tool
async def test_simple_text() -> str:
    """Answers with one block of text."""
    return "This is a simple text response for testing."


@app.tool
async def test_image_content() -> ImageContent:
    """Answers with an image."""
    return ImageContent(PNG, mime_type="image/png")


@app.tool
async def test_audio_content() -> AudioContent:
    """Answers with a sound."""
    return AudioContent(WAV, mime_type="audio/wav")


@app.tool
async def test_embedded_resource() -> EmbeddedResource:
    """Answers with a resource, embedded."""
    return text_resource("test://embedded-resource", "This is an embedded resource content.")


@app.tool
async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """Answers with text, an image and a resource."""
    return [
        TextContent("Multiple content types test:"),
        ImageContent(PNG, mime_type="image/png"),
        text_resource("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
    ]


@app.tool
async def test_error_handling() -> str:
    """Fails, always."""
    raise ToolError("This tool intentionally returns an error for testing")


@app.tool
async def test_tool_with_logging(ctx: Context) -> str:
    """Logs three messages while it works."""
    await ctx.info("Tool execution started")
    await asyncio.sleep(PAUSE)
    await ctx.info("Tool processing data")
    await asyncio.sleep(PAUSE)
    await ctx.info("Tool execution completed")
    return "Logged three messages."


@app.tool
async def test_logging_tool(ctx: Context) -> str:
    """Logs one message, for whoever asked for log messages."""
    await ctx.info("Working")
    return "Done."


@app.tool
async def test_tool_with_progress(ctx: Context) -> str:
    """Reports its progress three times."""
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await asyncio.sleep(PAUSE)
    return "Reported progress three times."


CONTACT_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


@app.tool(input_schema=CONTACT_SCHEMA)
async def json_schema_2020_12_tool(arguments: dict[str, Any]) -> str:
    """Takes arguments that only JSON Schema 2020-12 can describe."""
    return f"Took {len(arguments)} arguments."


@app.tool(name="test_x_mcp_header")
async def mirrored(
    region: Annotated[str, Meta(extra_json_schema={"x-mcp-header": "Region"})] = "none",
) -> str:
    """Answers with the region, which a header repeats."""
    return f"Region: {region}"


@app.resource("test://watched-resource", mime_type="text/plain")
async def watched() -> str:
    """Text that clients subscribe to."""
    return "This resource can be watched."


@app.resource("test://static-text", mime_type="text/plain")
async def static_text() -> str:
    """Text that never changes."""
    return "This is the content of the static text resource."


@app.resource("test://static-binary", mime_type="image/png")
async def static_binary() -> ResourceContents:
    """An image that never changes."""
    return ResourceContents("test://static-binary", mime_type="image/png", blob=PNG)


@app.resource("test://template/{id}/data", mime_type="application/json")
async def template_data(id: str) -> dict[str, Any]:
    """Data for an id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


@app.prompt
def test_simple_prompt() -> str:
    """One message."""
    return "This is a simple prompt for testing."


@app.prompt
def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """One message with two values filled in."""
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


@app.completion(prompt="test_prompt_with_arguments", argument="arg1")
async def suggest(value: str) -> list[str]:
    return [word for word in ("test", "testing", "tested") if word.startswith(value)]


@app.prompt
def test_prompt_with_embedded_resource(resourceUri: str) -> list[PromptMessage]:  # noqa: N803, the suite's name
    """A resource, and what to do with it."""
    resource = text_resource(resourceUri, "Embedded resource content for testing.")
    return [user(resource), user(TextContent("Please process the embedded resource above."))]


@app.prompt
def test_prompt_with_image() -> list[PromptMessage]:
    """An image, and what to do with it."""
    image = ImageContent(PNG, mime_type="image/png")
    return [user(image), user(TextContent("Please analyze the image above."))]


app.skills(Path(__file__).parent / "skills")
declare_questions(app)
declare_tasks(app)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app.run("http", port=parser.parse_args().port)


if __name__ == "__main__":
    main()
