"""The documentation tells the truth: its Python runs, its links lead somewhere, every setting is in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import fields

from bascule.engine.settings import (
    ApprovalSettings,
    AuditSettings,
    AuthSettings,
    HttpSettings,
    LimitSettings,
    LoadSettings,
    WeatherSettings,
)

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])
EXAMPLES = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_every_python_example_runs(code, tmp_path):
    code = code.replace("app.run()", "pass")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", sorted([*PAGES, *ROOT.glob("*.md")]), ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    ("page", "settings"),
    [
        ("http.md", HttpSettings),
        ("load.md", LoadSettings),
        ("limits.md", LimitSettings),
        ("confirmation.md", ApprovalSettings),
        ("api-keys.md", AuthSettings),
        ("audit.md", AuditSettings),
        ("weather.md", WeatherSettings),
    ],
)
def test_every_setting_is_documented(page, settings):
    text = (ROOT / "docs" / page).read_text()
    assert [field.name for field in fields(settings) if f"`{field.name}`" not in text] == []
