"""Placeholders: every host's spelling is filled in, once; what cannot be is told of by name."""

import os
from pathlib import Path

import pytest

from bascule.client.placeholders import Placeholders
from bascule.errors import ConfigError

ENVIRONMENT = {
    "A": "alpha",
    "B2_": "beta",
    "EMPTY": "",
    "SLY": "${A} $(id) `id`",
    "PROGRAM FILES(x86)": "pf",
    "input": "in",
    "env": "en",
}

GOOD = {
    "": "",
    "plain $A $$ { } $(id)": "plain $A $$ { } $(id)",
    "${A}": "alpha",
    "<${A}${B2_}>": "<alphabeta>",
    "${env:A}-${env:PROGRAM FILES(x86)}": "alpha-pf",
    "${EMPTY}": "",
    "${A:-x}": "alpha",
    "${NONE:-x y:-z}": "x y:-z",
    "${NONE:-}": "",
    "${EMPTY:-x}": "x",
    "${env:NONE:-x}": "x",
    "${SLY}": "${A} $(id) `id`",
    "${NONE:-$(id)}": "$(id)",
    "$${A}": "$alpha",
    "${input:token}": "given",
    "${input:-x}${env:-y}": "inen",
    "${workspaceFolder}/x": "/work space/x",
    "${workspaceFolderBasename}": "work space",
    "${userHome}": str(Path.home()),
    "a${pathSeparator}b${/}": f"a{os.sep}b{os.sep}",
}

BAD = {
    "${NONE}": "the environment variable NONE, which 'args' needs, is not set and has no default",
    "${env:NONE}": "the environment variable NONE,",
    "${NONE:-a}${ALSO_NONE}": "ALSO_NONE",
    "${file}": "the environment variable file,",
    "${${A}}": "'args' has a placeholder within another",
    "${NONE:-${A}}": "a placeholder within another",
    "x ${A": "'args' has a '${' without its '}'",
    "${": "without its '}'",
    "${}": "not known here",
    "${env:}": "not known here (${env:…})",
    "${env:A=B}": "not known here (${env:…})",
    "${command:open.calc}": "not known here (${command:…})",
    "${A:+x}": "not known here (${A:…})",
    "${1}": "not known here",
    "${a b}": "not known here",
    "${input:other}": "the input 'other', which 'args' needs, is not given and has no default",
}


def placeholders() -> Placeholders:
    return Placeholders(ENVIRONMENT, "/work space", {"token": "given"})


@pytest.mark.parametrize("text", GOOD)
def test_a_placeholder_is_filled_in_once_and_nothing_is_executed(text):
    assert placeholders().fill(text, "'args'") == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_filled_in_is_told_by_name(text):
    with pytest.raises(ConfigError) as refused:
        placeholders().fill(text, "'args'")
    assert BAD[text] in str(refused.value)


def test_errors_show_no_value():
    for text in ("${A}${NONE}", "${A}${${A}}", "${A}${sk-123 456}", "${A}${x:sk-123}", "${input:token}${"):
        with pytest.raises(ConfigError) as refused:
            placeholders().fill(text, "'args'")
        assert not {"alpha", "sk-123", "given"} & set(str(refused.value).replace("'", " ").split())
        assert "sk-123" not in str(refused.value)


def test_the_current_folder_is_the_workspace_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Placeholders({}).fill("${workspaceFolder}", "x") == str(tmp_path)
