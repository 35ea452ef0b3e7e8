"""Content blocks and what they share: text, images, audio, resources, links, icons, annotations.

Field names on the wire are the specification's (camelCase); in Python they are snake_case. Binary data is base64 text.
Source: specification 2026-07-28, schema, `ContentBlock`, `ResourceContents`, `Annotations`, `Icon`.
"""

from typing import Any, Literal

from msgspec import Struct, field

Role = Literal["user", "assistant"]
Meta = dict[str, Any]


class Icon(Struct, rename="camel", omit_defaults=True):
    """A picture for a user interface: an https or data URI, its type and sizes ("48x48", "any")."""

    src: str
    mime_type: str | None = None
    sizes: list[str] | None = None
    theme: Literal["light", "dark"] | None = None


class Annotations(Struct, rename="camel", omit_defaults=True):
    """Hints for a client: who the content is for, how much it matters (0 to 1), when it changed (ISO 8601)."""

    audience: list[Role] | None = None
    priority: float | None = None
    last_modified: str | None = None


class ResourceContents(Struct, rename="camel", omit_defaults=True):
    """What a resource holds: exactly one of `text` and `blob` (base64) is set."""

    uri: str
    mime_type: str | None = None
    text: str | None = None
    blob: str | None = None
    meta: Meta | None = field(default=None, name="_meta")


class TextContent(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="text"):
    """A block of text."""

    text: str
    annotations: Annotations | None = None
    meta: Meta | None = field(default=None, name="_meta")


class ImageContent(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="image"):
    """An image: base64 data and its MIME type."""

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: Meta | None = field(default=None, name="_meta")


class AudioContent(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="audio"):
    """Audio: base64 data and its MIME type."""

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: Meta | None = field(default=None, name="_meta")


class EmbeddedResource(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="resource"):
    """A resource's contents, inside a message or a tool's result."""

    resource: ResourceContents
    annotations: Annotations | None = None
    meta: Meta | None = field(default=None, name="_meta")


class ResourceLink(Struct, rename="camel", omit_defaults=True, tag_field="type", tag="resource_link"):
    """A reference to a resource that the client may read."""

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = None
    meta: Meta | None = field(default=None, name="_meta")


ContentBlock = TextContent | ImageContent | AudioContent | EmbeddedResource | ResourceLink
