"""The registry: every feature of a server by name or URI, and the encoded lists of them.

Keeps what was declared, in the order of declaration; answers look-ups; knows no protocol method.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from bascule.errors import DeclarationError
from bascule.server.features import Feature, PromptFeature, ResourceFeature, TemplateFeature, ToolFeature
from bascule.server.pages import PAGE_SIZE, Pages

F = TypeVar("F")

MAX_URI = 8192
"""The longest URI, in characters, that is held against templates; matching costs length times variables."""


class Registry:
    """What one server offers."""

    def __init__(self, page_size: int = PAGE_SIZE) -> None:
        self.page_size = page_size
        self.tools: dict[str, ToolFeature] = {}
        self.resources: dict[str, ResourceFeature] = {}
        self.templates: dict[str, TemplateFeature] = {}
        self.prompts: dict[str, PromptFeature] = {}
        self._pages: dict[str, Pages] = {}

    def __iter__(self) -> Iterator[Feature]:
        yield from self.tools.values()
        yield from self.resources.values()
        yield from self.templates.values()
        yield from self.prompts.values()

    def add(self, feature: Feature) -> None:
        """Take a feature in. Raises DeclarationError where its name or URI is taken."""
        if isinstance(feature, ToolFeature):
            _insert(self.tools, feature.name, feature, "tool")
        elif isinstance(feature, ResourceFeature):
            _insert(self.resources, feature.definition.uri, feature, "resource")
        elif isinstance(feature, PromptFeature):
            _insert(self.prompts, feature.name, feature, "prompt")
        else:
            _insert(self.templates, feature.definition.uri_template, feature, "resource template")
        self._pages.clear()

    def find_resource(self, uri: str) -> tuple[ResourceFeature | TemplateFeature, Mapping[str, str]] | None:
        """The feature that serves a URI and what its template took from it; fixed URIs first, then as declared."""
        fixed = self.resources.get(uri)
        if fixed is not None:
            return fixed, {}
        if len(uri) > MAX_URI:
            return None
        for feature in self.templates.values():
            values = feature.template.match(uri)
            if values is not None:
                return feature, values
        return None

    def pages(self, family: str) -> Pages:
        """The encoded list of one family (`tools`, `resources`, `templates`, `prompts`), made when first asked for."""
        found = self._pages.get(family)
        if found is None:
            features: Mapping[str, Feature] = getattr(self, family)
            found = Pages([feature.definition for feature in features.values()], self.page_size)
            self._pages[family] = found
        return found


def _insert(table: dict[str, F], key: str, feature: F, what: str) -> None:
    if key in table:
        raise DeclarationError(f"A {what} {key!r} is declared already; give one of the two another name")
    table[key] = feature
