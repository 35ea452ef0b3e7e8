"""The table of attacks through the served tools: nothing from outside is shown, and nothing outside is changed."""

import base64
from urllib.parse import quote

import msgspec
import pytest

from bascule import MCPError
from tests.servers.files import tree

CHANGED = "written by the test"


async def everything(client, case):
    """Every way that the server has to do this to this path; the answers, and the refusals as None."""
    path = case.path
    tools = {
        "read": [
            ("read_binary_file", {"path": path}),
            ("read_file", {"path": path}),
            ("search_files", {"text": tree.CANARY[:6], "path": path}),
        ],
        "list": [
            ("list_directory", {"path": path}),
            ("directory_tree", {"path": path}),
            ("find_files", {"pattern": "*", "path": path}),
            ("search_files", {"text": tree.CANARY[:6], "path": path}),
        ],
        "write": [
            ("write_file", {"path": path, "content": CHANGED, "overwrite": True}),
            ("edit_file", {"path": path, "old_text": tree.CANARY[:6], "new_text": CHANGED}),
            ("move_file", {"source": "linked.txt", "destination": path}),
        ],
        "delete": [
            ("delete_file", {"path": path}),
            ("move_file", {"source": path, "destination": "moved by the test"}),
        ],
    }
    for name, arguments in tools[case.op]:
        result = await client.call_tool(name, arguments)
        yield name, not result.is_error, msgspec.json.encode(result).decode()
    if case.op == "read":
        try:
            result = await client.read_resource(f"file:///{quote(path, safe='')}")
            yield "resource", True, msgspec.json.encode(result).decode()
        except MCPError as error:
            yield "resource", False, f"{error.message} {error.data}"


HARMLESS = {
    ("list", "search_files"): {"notes.txt"},
    ("read", "search_files"): {"docs"},
}
"""Where a refused operation is not refused to a neighbouring tool: a file can be searched, and so can a directory."""


async def test_no_attack_succeeds_and_none_has_an_effect(opened, root):
    before = tree.outside(root)
    inside = sorted(path.relative_to(root) for path in root.rglob("*"))
    succeeded, shown = [], []
    async with opened(root) as client:
        for case in tree.cases(root):
            if not case.is_attack:
                continue
            async for way, done, answer in everything(client, case):
                if done and case.path not in HARMLESS.get((case.op, way), ()):
                    succeeded.append((way, case))
                if any(secret in answer for secret in _secrets(root)):
                    shown.append((way, case, answer))
    assert succeeded == []
    assert shown == []
    assert tree.outside(root) == before
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == inside


def _secrets(root):
    """What an answer would hold that shows something from outside: canaries as they are and in base64, and passwd."""
    encoded = base64.b64encode(tree.CANARY.encode()).decode()[:20]
    return tree.CANARY, encoded, "root:x:0:0", base64.b64encode(b"root:x:0:0").decode()[:12]


async def test_every_honest_call_does_what_it_says(opened, root):
    before = tree.outside(root)
    async with opened(root) as client:
        for case in tree.cases(root):
            if not case.is_attack:
                await HONEST[case.op](client, root, case.path)
    assert tree.outside(root) == before


async def _read(client, root, path):
    expected = (root / path).read_bytes()[:65536] if path != "sparse.bin" else bytes(65536)
    result = await client.call_tool("read_binary_file", {"path": path})
    assert not result.is_error, (path, result.content)
    assert base64.b64decode(result.structured_content["data"]) == expected
    if expected.startswith(b"inside"):
        result = await client.call_tool("read_file", {"path": path})
        assert result.structured_content["text"].encode() == expected


async def _list(client, root, path):
    result = await client.call_tool("list_directory", {"path": path})
    assert not result.is_error, (path, result.content)
    names = [entry["name"] for entry in result.structured_content["entries"]]
    assert names == sorted(entry.name for entry in (root / path).iterdir())


async def _write(client, root, path):
    result = await client.call_tool("write_file", {"path": path, "content": CHANGED, "overwrite": True})
    assert not result.is_error, (path, result.content)
    assert (root / path).read_text() == CHANGED


async def _delete(client, root, path):
    result = await client.call_tool("delete_file", {"path": path})
    assert not result.is_error, (path, result.content)
    assert not (root / path).is_symlink()
    assert not (root / path).exists()


HONEST = {"read": _read, "list": _list, "write": _write, "delete": _delete}


@pytest.mark.parametrize("uri", ["file:///{base}/secret.txt", "file://localhost/etc/passwd", "file:///..%2Fsecret.txt"])
async def test_no_form_of_uri_leads_out(opened, root, uri):
    async with opened(root) as client:
        with pytest.raises(MCPError) as refused:
            await client.read_resource(uri.replace("{base}", str(root.parent)))
    assert tree.CANARY not in f"{refused.value} {refused.value.data}"
