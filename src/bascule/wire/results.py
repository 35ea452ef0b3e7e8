"""The base of every result: `_meta` and `resultType`, and the caching hints of those that may be cached.

The stateless era requires `resultType` (and `ttlMs`, `cacheScope` on cacheable results); the handshake era has neither,
so both start unset and `era.stamp` fills them. Source: specification 2026-07-28, `Result`, `CacheableResult`.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field

from bascule.wire.content import Meta

CacheScope = Literal["public", "private"]


class Result(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What every result may carry."""

    result_type: str | UnsetType = UNSET
    meta: Meta | Raw | UnsetType = field(default=UNSET, name="_meta")


class EmptyResult(Result):
    """A result that says only that it was done."""


class CacheableResult(Result, kw_only=True):
    """A result with caching hints: `ttl_ms` milliseconds of freshness, and who may share it."""

    ttl_ms: int | UnsetType = UNSET
    cache_scope: CacheScope | UnsetType = UNSET
