"""The types of the published schemas, as the table that tests/wire/test_schemas.py compares the structs with.

    python scripts/schemas.py SPEC_DIR > tests/wire/schemas.toml

SPEC_DIR holds a `schema.json` in a folder for each revision. The schemas are not in this repository; the table has of
each type that has properties their names, those that are required with `!` behind them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = """\
# The properties of each type of the published schemas; `!` marks those that are required.
# Made by `scripts/schemas.py SPEC_DIR`."""


def types(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every type with properties, by name, and these in one line; types within others are `Outer.property`."""
    named = schema.get("$defs") or schema["definitions"]
    for name in sorted(named):
        yield from _walk(name, named[name])


def _walk(name: str, form: dict[str, Any]) -> Iterator[tuple[str, str]]:
    properties = form.get("properties")
    if not properties:
        return
    required = form.get("required", ())
    yield name, " ".join(f"{one}!" if one in required else one for one in sorted(properties))
    for one in sorted(properties):
        yield from _walk(f"{name}.{one}", properties[one])


def main(spec: Path) -> None:
    """Print the table."""
    print(HEAD)
    for path in sorted(spec.glob("20*/schema.json")):
        print(f'\n["{path.parent.name}"]')
        for name, line in types(json.loads(path.read_text(encoding="utf-8"))):
            print(f'"{name}" = "{line}"')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
