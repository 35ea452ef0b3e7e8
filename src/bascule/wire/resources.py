"""Resources: their definitions, templates, and what a read gives back.

Source: specification 2026-07-28, server/resources.
"""

from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.content import Annotations, Icon, Meta, ResourceContents
from bascule.wire.inputs import InputParams
from bascule.wire.results import CacheableResult


class Resource(Struct, rename="camel", omit_defaults=True):
    """A resource with a fixed URI; `size` is in bytes."""

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = None
    meta: Meta | None = field(default=None, name="_meta")


class ResourceTemplate(Struct, rename="camel", omit_defaults=True):
    """A family of resources, addressed by an RFC 6570 URI template."""

    uri_template: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = None
    meta: Meta | None = field(default=None, name="_meta")


class ReadResourceParams(InputParams):
    """Which resource to read."""

    uri: str


class ListResourcesResult(CacheableResult):
    """One page of resources."""

    resources: list[Resource] | Raw
    next_cursor: str | UnsetType = UNSET


class ListResourceTemplatesResult(CacheableResult):
    """One page of resource templates."""

    resource_templates: list[ResourceTemplate] | Raw
    next_cursor: str | UnsetType = UNSET


class ReadResourceResult(CacheableResult):
    """The contents of a resource; a folder-like one may hold several."""

    contents: list[ResourceContents]
