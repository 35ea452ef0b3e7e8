"""Names of tools for a model: joined, short, of allowed characters, and never another's."""

import re

from bascule.client.tool_names import joined_names


def test_names_are_joined_as_the_prefix_says():
    tools = [("files", "read"), ("git", "log")]
    assert joined_names(tools, "{server}_") == {"files_read": tools[0], "git_log": tools[1]}
    assert joined_names(tools, "mcp__{server}__") == {"mcp__files__read": tools[0], "mcp__git__log": tools[1]}
    assert joined_names(tools, "") == {"read": tools[0], "log": tools[1]}


def test_no_tool_takes_the_name_of_another():
    tools = [("a", "b_c"), ("a_b", "c"), ("x", "y")]
    names = joined_names(tools, "{server}_")
    assert set(names.values()) == set(tools)
    assert "a_b_c" not in names
    assert names["x_y"] == ("x", "y")
    digested = {tool: name for name, tool in names.items()}
    assert joined_names(reversed(tools), "{server}_") == names
    forged = ("a", digested[("a_b", "c")].removeprefix("a_"))
    again = joined_names([*tools, forged], "{server}_")
    assert set(again.values()) == {*tools, forged}
    assert len(again) == 4


def test_names_have_only_what_models_allow():
    tools = [("größe", "a.b/c"), ("s" * 80, "t"), ("s" * 80, "u"), ("s", "t" * 200), ("", ""), ("{server}", "{0.x}")]
    for prefix in ("{server}_", ""):
        names = joined_names(tools, prefix)
        assert set(names.values()) == set(tools)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
