"""The registry: every feature of a server by name or URI, and the encoded lists of them.

Keeps what was declared, in the order of declaration; answers look-ups; knows no protocol method.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b

from msgspec import Struct

from bascule.engine.hub import RESOURCES
from bascule.errors import DeclarationError
from bascule.guards.scopes import ALL, may_use
from bascule.server.features import Feature, PromptFeature, ResourceFeature, TemplateFeature, ToolFeature
from bascule.server.pages import PAGE_SIZE, Pages
from bascule.wire.completion import PromptReference, TemplateReference

_MAX_LISTS = 256
"""How many lists, each for other scopes, are kept encoded at once."""

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
        self.cursor_keys: list[bytes] = [os.urandom(32)]
        """What signs the cursors of lists, newest first."""
        self._pages: dict[tuple[str, frozenset[str]], Pages] = {}
        self._scopes: dict[str, frozenset[str]] = {}

    def __iter__(self) -> Iterator[Feature]:
        yield from self.tools.values()
        yield from self.resources.values()
        yield from self.templates.values()
        yield from self.prompts.values()

    def use_secrets(self, secrets: Sequence[str]) -> None:
        """Sign cursors with these, newest first, so that others with the same secrets know them."""
        self.cursor_keys = [
            blake2b(b"bascule cursor key\0" + secret.encode(), digest_size=32).digest() for secret in secrets
        ]
        self.changed()

    def add(self, feature: Feature) -> None:
        """Take a feature in. Raises DeclarationError where its name or URI is taken."""
        self.check([feature])
        self.put(feature)

    def put(self, feature: Feature) -> None:
        """Take a feature in, in the place of the one that has its name."""
        family, key, _ = _place(feature)
        getattr(self, family)[key] = feature
        self.changed()

    def remove(self, family: str, key: str) -> Feature:
        """Take a feature out. Raises DeclarationError where there is none."""
        features: dict[str, Feature] = getattr(self, family)
        if key not in features:
            raise DeclarationError(f"There is no {key!r} among the {family} to remove")
        self.changed()
        return features.pop(key)

    def key_of(self, feature: Feature) -> str:
        """The name or URI under which a feature stands."""
        return _place(feature)[1]

    def check(self, features: Sequence[Feature]) -> None:
        """Raise DeclarationError if the name or URI of any of these is taken."""
        for feature in features:
            family, key, what = _place(feature)
            if key in getattr(self, family):
                raise DeclarationError(f"A {what} {key!r} is declared already; give one of the two another name")

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

    def may_hear(self, held: frozenset[str], uri: str) -> bool:
        """Whether somebody who holds these scopes may hear of a resource's changes; of what nobody serves, all may."""
        found = self.find_resource(uri)
        return found is None or may_use(found[0].policy, held)

    @property
    def completes(self) -> bool:
        """Whether there is anything to complete."""
        prompts = any(prompt.completions.any for prompt in self.prompts.values())
        return prompts or any(template.completions.any for template in self.templates.values())

    def find_completed(self, ref: PromptReference | TemplateReference) -> PromptFeature | TemplateFeature | None:
        """The prompt or template that a reference names."""
        if isinstance(ref, PromptReference):
            return self.prompts.get(ref.name)
        return self.templates.get(ref.uri)

    def pages(self, family: str, held: frozenset[str]) -> Pages:
        """The encoded list of one family (`tools`, `resources`, `templates`, `prompts`), made when first asked for.

        It shows what somebody who holds these scopes may use; what is denied to all is in no list.
        """
        features: Mapping[str, Feature] = getattr(self, family)
        return self.paged(
            family, family, held, lambda: [one.definition for one in features.values() if may_use(one.policy, held)]
        )

    def paged(self, name: str, family: str, held: frozenset[str], items: Callable[[], Sequence[Struct]]) -> Pages:
        """The encoded list of this name, which shows somebody who holds these scopes what it may use of a family."""
        wanted = self.scopes(family)
        held = wanted if ALL in held else held & wanted
        found = self._pages.get((name, held))
        if found is None:
            found = Pages(items(), self.page_size, self.cursor_keys)
            if len(self._pages) >= _MAX_LISTS:
                self._pages.clear()
            self._pages[name, held] = found
        return found

    def scopes(self, family: str) -> frozenset[str]:
        """All scopes that the features of a family ask for."""
        found = self._scopes.get(family)
        if found is None:
            features: Mapping[str, Feature] = getattr(self, family)
            found = frozenset[str]().union(*(feature.policy.scopes for feature in features.values()))
            self._scopes[family] = found
        return found

    def changed(self) -> None:
        """Encode lists anew, when next asked for."""
        self._pages.clear()
        self._scopes.clear()


def list_of(feature: Feature) -> str:
    """The list that a client would see the feature in."""
    family = _place(feature)[0]
    return RESOURCES if family == "templates" else family


def _place(feature: Feature) -> tuple[str, str, str]:
    """A feature's family, its key in it, and what a user calls it."""
    if isinstance(feature, ToolFeature):
        return "tools", feature.name, "tool"
    if isinstance(feature, ResourceFeature):
        return "resources", feature.definition.uri, "resource"
    if isinstance(feature, PromptFeature):
        return "prompts", feature.name, "prompt"
    return "templates", feature.definition.uri_template, "resource template"
