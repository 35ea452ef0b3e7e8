"""Old revisions get what they cannot know said in what they can."""

import pytest

from bascule import AudioContent, Client, PromptMessage, ResourceLink, Server, TextContent, audio
from bascule.eras.blocks import said_in
from bascule.wire.prompts import GetPromptResult
from bascule.wire.tools import CallToolResult


def result():
    link = ResourceLink("book://1", "one", description="The first")
    return CallToolResult(content=[TextContent("text"), AudioContent("UklG", "audio/wav"), link])


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("2024-11-05", ["text", "resource", "text"]),
        ("2025-03-26", ["text", "audio", "text"]),
        ("2025-06-18", ["text", "audio", "resource_link"]),
        ("2025-11-25", ["text", "audio", "resource_link"]),
    ],
)
def test_blocks_are_those_of_the_revision(version, kinds):
    said = result()
    said_in(version, said)
    assert [block.__struct_config__.tag for block in said.content] == kinds


def test_nothing_is_lost_on_the_way():
    said = result()
    said_in("2024-11-05", said)
    assert (said.content[1].resource.blob, said.content[1].resource.mime_type) == ("UklG", "audio/wav")
    assert said.content[2].text == "one: The first: book://1"
    prompt = GetPromptResult(messages=[PromptMessage("user", AudioContent("UklG", "audio/wav"))])
    said_in("2024-11-05", prompt)
    assert prompt.messages[0].content.resource.blob == "UklG"


async def test_a_client_of_today_gets_audio():
    app = Server("t")

    @app.tool
    async def sing() -> AudioContent:
        return audio(b"RIFF")

    async with Client(app, era="legacy") as client:
        assert (await client.call_tool("sing")).content == [AudioContent("UklGRg==", "audio/wav")]
