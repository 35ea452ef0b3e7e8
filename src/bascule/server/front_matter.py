"""Front matter: the YAML at the head of a SKILL.md, as the JSON object that a manifest states of it.

Hosts compare the two, and drop the skill where they differ; so scalars are read by the core schema of YAML 1.2, in
which `yes`, `1:30` and a date are text. What JSON has no form for, aliases and repeated keys are refused here, not when
somebody lists the skills. Errors name the skill and the line, and no path. Loaded only with skills.
Source: SEP-2640, "Frontmatter"; YAML 1.2.2, section 10.3.
"""

import math
import re
from typing import Any

import yaml

from bascule.errors import DeclarationError

MAX_MANIFEST = 256 * 1024
"""How many bytes a SKILL.md may have."""

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)

_TAG = "tag:yaml.org,2002:"
_TEXT, _NULL, _BOOL, _INT, _FLOAT = (_TAG + name for name in ("str", "null", "bool", "int", "float"))
_CORE = {
    _NULL: re.compile(r"(?:~|null|Null|NULL|)\Z"),
    _BOOL: re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    _INT: re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    _FLOAT: re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}


def front_matter(name: str, manifest: bytes) -> dict[str, Any]:
    """The front matter of a skill's SKILL.md. Raises DeclarationError, for any bytes that are not as they must be."""
    if len(manifest) > MAX_MANIFEST:
        raise DeclarationError(f"The SKILL.md of the skill {name!r} has more than {MAX_MANIFEST} bytes")
    try:
        text = manifest.decode()
    except UnicodeDecodeError:
        raise DeclarationError(f"The SKILL.md of the skill {name!r} must be UTF-8 text") from None
    front = _FRONT.match(text)
    if front is None:
        raise DeclarationError(f"The SKILL.md of the skill {name!r} must begin with front matter between --- lines")
    try:
        node = _Loader(front[1]).get_single_node()
        found = None if node is None else _value(node)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = "" if mark is None else f" (line {mark.line + 2})"
        why = problem or "it has characters that YAML does not allow"
        raise DeclarationError(f"The front matter of the skill {name!r} cannot be read{place}: {why}") from None
    except RecursionError:
        raise DeclarationError(f"The front matter of the skill {name!r} nests too deeply") from None
    if not isinstance(found, dict):
        raise DeclarationError(f"The front matter of the skill {name!r} must be a mapping of names")
    return found


class _Loader(yaml.SafeLoader):
    """Scalars of the core schema only, and no aliases, which can make a small text mean an endless one."""

    yaml_implicit_resolvers = {None: list(_CORE.items())}  # noqa: RUF012, PyYAML's own name for a table of the class

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def _value(node: yaml.Node) -> Any:
    """A node's value, all of it with a form in JSON."""
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _mapping(node)
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    raise _unfit(node, f"a value of the type {node.tag} has no form in JSON")


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag != _TEXT:
            raise _unfit(key, "a key must be text; put quotation marks around it")
        name = _scalar(key)
        if name in found:
            raise _unfit(key, "a key stands there for the second time")
        found[name] = _value(value)
    return found


def _scalar(node: yaml.ScalarNode) -> Any:
    text, form = node.value, _CORE.get(node.tag)
    if node.tag == _TEXT:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _unfit(node, "half of a surrogate pair is no character") from None
    if form is None or not form.match(text):
        raise _unfit(node, f"a value of the type {node.tag} has no form in JSON")
    if node.tag == _NULL:
        return None
    return text.lower() == "true" if node.tag == _BOOL else _number(node, text)


def _number(node: yaml.ScalarNode, text: str) -> int | float:
    bases = {"0o": 8, "0x": 16}
    try:
        number = int(text, bases.get(text[:2], 10)) if node.tag == _INT else float(text)
    except ValueError:  # `.inf` and `.nan`, and more digits than Python reads
        number = math.inf
    if isinstance(number, float) and not math.isfinite(number):
        raise _unfit(node, "a number like this has no form in JSON; put quotation marks around it")
    return number


def _unfit(where: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)
