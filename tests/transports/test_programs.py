"""Which file a command means on Windows, and one clear reason for each way in which a command cannot be started."""

import os
from pathlib import Path

import pytest

from bascule.errors import ConnectionLost
from bascule.transports.programs import with_ending
from bascule.transports.spawn import SpawnStream


def file(path: Path, text: str = "", mode: int = 0o755) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return str(path)


async def reason(command: list[str], **options: object) -> str:
    stream = SpawnStream(command, **options)  # type: ignore[arg-type]
    with pytest.raises(ConnectionLost) as failed:
        await stream.start(lambda line: None, lambda cause: None)
    await stream.close()
    begun = f"The server command {command[0]!r} cannot be started: "
    assert str(failed.value).startswith(begun)
    return str(failed.value).removeprefix(begun)


async def test_each_fault_has_its_own_reason(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path / "bin")}
    file(tmp_path / "bin" / "plain", mode=0o644)
    file(tmp_path / "bin" / "text", "echo hello")
    file(tmp_path / "bin" / "orphan", "#!/no/such/interpreter\n")
    (tmp_path / "bin" / "folder").mkdir()
    nowhere = tmp_path / "nowhere"
    assert await reason(["no-such-command"], env=env) == "no program of this name is on its PATH"
    assert await reason(["./no-such-file"]) == "there is no such file"
    assert await reason(["plain"], env=env) == "the file is not executable"
    assert await reason(["./plain"], cwd=tmp_path / "bin") == "the file is not executable"
    assert await reason([str(tmp_path / "bin" / "folder")]) == "it is a folder"
    assert await reason(["orphan"], env=env) == (
        "it is a script, and what its first line names as its interpreter does not exist"
    )
    assert await reason(["text"], env=env) == "it is no program, and no script that begins with #!"
    assert await reason(["sh"], cwd=nowhere) == f"there is no folder {str(nowhere)!r} to run it in"
    assert await reason(["no-such-command"], cwd=nowhere) == f"there is no folder {str(nowhere)!r} to run it in"
    assert "null byte" in await reason(["a\0b"])


async def test_a_file_in_place_of_the_folder_is_no_folder(tmp_path: Path) -> None:
    taken = file(tmp_path / "taken")
    assert await reason(["sh"], cwd=taken) == f"there is no folder {taken!r} to run it in"


def test_windows_finds_what_pathext_ends(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    file(first / "npx", "#!/bin/sh")
    npx = file(first / "npx.cmd")
    file(second / "npx.exe")
    node = file(second / "node.exe")
    env = {"Path": f"{first}{os.pathsep}{second}", "PATHEXT": ".EXE;.CMD"}
    assert with_ending(["node", "a b"], env) == [node, "a b"]
    assert with_ending(["npx.cmd", "-y"], env) == [npx, "-y"]
    assert with_ending(["npx"], {"PATH": str(first)}) == [npx]
    assert with_ending(["missing"], env) == ["missing"]


def test_windows_starts_nothing_that_lies_about_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tmp_path / "here" / "npx.cmd")
    monkeypatch.chdir(tmp_path / "here")
    assert with_ending(["npx"], {"PATH": ""}) == ["npx"]
    own = with_ending([f".{os.sep}npx"], {"PATH": ""})
    assert Path(own[0]).samefile(tmp_path / "here" / "npx.cmd")


@pytest.mark.parametrize("argument", ["a&calc", "a|b", "%PATH%", 'a" & calc "', "a\nb", "a>b", "!x!", "^"])
def test_windows_hands_no_batch_file_what_its_shell_would_read(tmp_path: Path, argument: str) -> None:
    file(tmp_path / "npx.cmd")
    node = file(tmp_path / "node.exe")
    env = {"PATH": str(tmp_path)}
    with pytest.raises(ConnectionLost, match="it is a batch file"):
        with_ending(["npx", "-y", argument], env)
    assert with_ending(["node", argument], env) == [node, argument]
