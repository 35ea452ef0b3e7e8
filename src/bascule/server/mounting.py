"""Mounting: the features of one server under a prefix in another."""

import re
from collections.abc import Awaitable, Callable

import msgspec

from bascule.engine.exchange import Exchange
from bascule.errors import DeclarationError
from bascule.server.features import (
    Feature,
    PromptFeature,
    ResourceFeature,
    TemplateFeature,
    ToolFeature,
    checked_name,
)
from bascule.server.templates import Template
from bascule.wire.resources import Resource

ListFeatures = Callable[[Exchange], Awaitable[list[Resource]]]

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def prefixed(feature: Feature, prefix: str | None) -> Feature:
    """The same feature under its new name: `prefix_name`, or `scheme://prefix/…` for resources.

    Raises DeclarationError for a prefix that cannot stand in a name.
    """
    if prefix is None:
        return feature
    checked_prefix(prefix)
    feature = _as_declared(feature)
    if isinstance(feature, ToolFeature | PromptFeature):
        what = "tool" if isinstance(feature, ToolFeature) else "prompt"
        name = checked_name(f"{prefix}_{feature.name}", what)
        definition = msgspec.structs.replace(feature.definition, name=name)
        return msgspec.structs.replace(feature, name=name, definition=definition)
    if isinstance(feature, ResourceFeature):
        uri = prefixed_uri(prefix, feature.definition.uri)
        return msgspec.structs.replace(feature, definition=msgspec.structs.replace(feature.definition, uri=uri))
    return _prefixed_template(feature, prefix)


def checked_prefix(prefix: str) -> str:
    """The prefix. Raises DeclarationError for one that cannot stand in a name."""
    if not _PREFIX.fullmatch(prefix):
        raise DeclarationError(f"The prefix {prefix!r} must be 1 to 32 letters, digits, hyphens and underscores")
    return prefix


def _as_declared(feature: Feature) -> Feature:
    """The feature with the definition that its author gave, which guards may have added to."""
    kept = feature.kept
    if kept.definition is None:
        return feature
    return msgspec.structs.replace(
        feature, definition=kept.definition, kept=msgspec.structs.replace(kept, definition=None)
    )


def _prefixed_template(feature: TemplateFeature, prefix: str) -> TemplateFeature:
    uri = prefixed_uri(prefix, feature.definition.uri_template)
    return msgspec.structs.replace(
        feature,
        definition=msgspec.structs.replace(feature.definition, uri_template=uri),
        template=Template(uri),
        lister=None if feature.lister is None else _prefixed_list(feature.lister, prefix),
    )


def _prefixed_list(listed: ListFeatures, prefix: str) -> ListFeatures:
    async def list_prefixed(exchange: Exchange) -> list[Resource]:
        found = await listed(exchange)
        return [msgspec.structs.replace(resource, uri=prefixed_uri(prefix, resource.uri)) for resource in found]

    return list_prefixed


def prefixed_uri(prefix: str, uri: str) -> str:
    """A resource's URI below a prefix: `scheme://prefix/…`. Raises DeclarationError for one without an authority."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise DeclarationError(f"The resource {uri!r} cannot be mounted under a prefix: its URI has no '://'")
    return f"{scheme}://{prefix}/{rest}"
