"""Bascule: serve, guard, connect and deploy Model Context Protocol servers.

Names load when first used, so `import bascule` costs a few milliseconds and pulls in no HTTP and no command line.
"""

from typing import TYPE_CHECKING, Any

from bascule.late import late
from bascule.version import VERSION

if TYPE_CHECKING:
    from bascule.checks.redactor import Redactor as Redactor
    from bascule.checks.rules import Rule as Rule
    from bascule.checks.text import sanitise as sanitise
    from bascule.checks.text import untrusted as untrusted
    from bascule.checks.urls import PublicUrl as PublicUrl
    from bascule.client.client import Client as Client
    from bascule.client.connect import StdioCommand as StdioCommand
    from bascule.client.inputs import Asked as Asked
    from bascule.client.many import Clients as Clients
    from bascule.engine.exchange import Principal as Principal
    from bascule.engine.routes import HttpRequest as HttpRequest
    from bascule.engine.routes import HttpResponse as HttpResponse
    from bascule.errors import BasculeError as BasculeError
    from bascule.errors import CallTimedOut as CallTimedOut
    from bascule.errors import ConfigError as ConfigError
    from bascule.errors import ConnectionLost as ConnectionLost
    from bascule.errors import DeclarationError as DeclarationError
    from bascule.errors import Declined as Declined
    from bascule.errors import MCPError as MCPError
    from bascule.errors import NotAnswered as NotAnswered
    from bascule.errors import PermissionDenied as PermissionDenied
    from bascule.errors import RateLimited as RateLimited
    from bascule.errors import ResourceNotFound as ResourceNotFound
    from bascule.errors import ServerUnavailable as ServerUnavailable
    from bascule.errors import ToolError as ToolError
    from bascule.errors import UpstreamFailed as UpstreamFailed
    from bascule.errors import UpstreamTimeout as UpstreamTimeout
    from bascule.server.app import Server as Server
    from bascule.server.context import Context as Context
    from bascule.server.depends import Depends as Depends
    from bascule.server.questions import Answer as Answer
    from bascule.server.questions import Ask as Ask
    from bascule.server.questions import Elicit as Elicit
    from bascule.server.questions import Roots as Roots
    from bascule.server.questions import Sample as Sample
    from bascule.server.results import audio as audio
    from bascule.server.results import image as image
    from bascule.stores.limiter import RateLimiter as RateLimiter
    from bascule.wire.content import Annotations as Annotations
    from bascule.wire.content import AudioContent as AudioContent
    from bascule.wire.content import ContentBlock as ContentBlock
    from bascule.wire.content import EmbeddedResource as EmbeddedResource
    from bascule.wire.content import Icon as Icon
    from bascule.wire.content import ImageContent as ImageContent
    from bascule.wire.content import ResourceContents as ResourceContents
    from bascule.wire.content import ResourceLink as ResourceLink
    from bascule.wire.content import TextContent as TextContent
    from bascule.wire.inputs import CreateMessageResult as CreateMessageResult
    from bascule.wire.inputs import ElicitResult as ElicitResult
    from bascule.wire.inputs import Root as Root
    from bascule.wire.inputs import SamplingMessage as SamplingMessage
    from bascule.wire.inputs import ToolResultContent as ToolResultContent
    from bascule.wire.inputs import ToolUseContent as ToolUseContent
    from bascule.wire.prompts import GetPromptResult as GetPromptResult
    from bascule.wire.prompts import PromptMessage as PromptMessage
    from bascule.wire.resources import ReadResourceResult as ReadResourceResult
    from bascule.wire.resources import Resource as Resource
    from bascule.wire.tools import CallToolResult as CallToolResult
    from bascule.wire.tools import ToolAnnotations as ToolAnnotations

__version__ = VERSION

_HOMES = {
    "Annotations": "bascule.wire.content",
    "Answer": "bascule.server.questions",
    "Ask": "bascule.server.questions",
    "Asked": "bascule.client.inputs",
    "AudioContent": "bascule.wire.content",
    "BasculeError": "bascule.errors",
    "CallTimedOut": "bascule.errors",
    "CallToolResult": "bascule.wire.tools",
    "Client": "bascule.client.client",
    "Clients": "bascule.client.many",
    "ConfigError": "bascule.errors",
    "ConnectionLost": "bascule.errors",
    "ContentBlock": "bascule.wire.content",
    "Context": "bascule.server.context",
    "CreateMessageResult": "bascule.wire.inputs",
    "DeclarationError": "bascule.errors",
    "Declined": "bascule.errors",
    "Depends": "bascule.server.depends",
    "Elicit": "bascule.server.questions",
    "ElicitResult": "bascule.wire.inputs",
    "EmbeddedResource": "bascule.wire.content",
    "GetPromptResult": "bascule.wire.prompts",
    "HttpRequest": "bascule.engine.routes",
    "HttpResponse": "bascule.engine.routes",
    "Icon": "bascule.wire.content",
    "ImageContent": "bascule.wire.content",
    "MCPError": "bascule.errors",
    "NotAnswered": "bascule.errors",
    "PermissionDenied": "bascule.errors",
    "Principal": "bascule.engine.exchange",
    "PromptMessage": "bascule.wire.prompts",
    "PublicUrl": "bascule.checks.urls",
    "RateLimited": "bascule.errors",
    "RateLimiter": "bascule.stores.limiter",
    "ReadResourceResult": "bascule.wire.resources",
    "Redactor": "bascule.checks.redactor",
    "Resource": "bascule.wire.resources",
    "ResourceContents": "bascule.wire.content",
    "ResourceLink": "bascule.wire.content",
    "ResourceNotFound": "bascule.errors",
    "Root": "bascule.wire.inputs",
    "Roots": "bascule.server.questions",
    "Rule": "bascule.checks.rules",
    "Sample": "bascule.server.questions",
    "SamplingMessage": "bascule.wire.inputs",
    "Server": "bascule.server.app",
    "ServerUnavailable": "bascule.errors",
    "StdioCommand": "bascule.client.connect",
    "TextContent": "bascule.wire.content",
    "ToolAnnotations": "bascule.wire.tools",
    "ToolError": "bascule.errors",
    "ToolResultContent": "bascule.wire.inputs",
    "ToolUseContent": "bascule.wire.inputs",
    "UpstreamFailed": "bascule.errors",
    "UpstreamTimeout": "bascule.errors",
    "audio": "bascule.server.results",
    "image": "bascule.server.results",
    "sanitise": "bascule.checks.text",
    "untrusted": "bascule.checks.text",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bascule' has no attribute {name!r}")
    value = globals()[name] = late(f"{home}:{name}")
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
