"""Audit: every decision about a call is kept: who called what, and what became of it.

Stands outside all guards that refuse, so that it sees their refusals. Does no more on the path of a call than to note
what was decided; the log makes a line of it elsewhere. Where the log must be kept and cannot be, nothing is called.
"""

import time
from asyncio import CancelledError
from collections.abc import Callable, Mapping

from msgspec import UNSET, Raw

from bascule.engine.asking import asking_in
from bascule.engine.exchange import Exchange, Feature, Guard, Handler
from bascule.engine.policy import Kind
from bascule.engine.ports import AuditLog, Clock, Decision, Outcome
from bascule.errors import ERROR_KEY, BasculeError, MCPError, ToolError
from bascule.wire.results import Result
from bascule.wire.tasks import TaskResult
from bascule.wire.tools import CallToolResult

MAX_ARGUMENTS = 4096
"""How long arguments may be, in bytes, that the log gets as they are; of longer ones it gets a digest."""

MAX_NAME = 128
"""How much of a request's id and of an error's code is kept, in characters."""

Arguments = bytes | Mapping[str, str] | str | None
Ending = tuple[Outcome, str | None, str | None]
"""How a call ended: its outcome, the error's code, and the guard that refused it."""

OK: Ending = ("ok", None, None)


def audit(
    log: AuditLog,
    clock: Clock = time.time,
    timer: Clock = time.perf_counter,
    trace: Callable[[], str | None] | None = None,
) -> Guard:
    """The guard that keeps decisions in a log.

    `clock` tells seconds since the epoch, `timer` seconds that never go back; `trace` gives the id of the trace that is
    under way, where there is one; otherwise the one that came with the request stands.
    """

    def guard(next: Handler, feature: Feature) -> Handler:
        kind, name = feature.kind, feature.address
        arguments_of = _ARGUMENTS[kind]
        admit, put = log.admit, log.put

        async def audited(exchange: Exchange) -> Result:
            admit()
            began = timer()
            ending = OK
            try:
                result = await next(exchange)
                if type(result) is not CallToolResult or result.is_error is True:
                    ending = _ending_of(result)
                return result
            except BaseException as error:
                ending = _ending_with(error)
                raise
            finally:
                put(
                    Decision(
                        clock(),
                        timer() - began,
                        exchange.principal,
                        exchange.method,
                        kind,
                        name,
                        arguments_of(exchange, log),
                        *ending,
                        _trace_in(exchange) if trace is None else trace() or _trace_in(exchange),
                        _cut(exchange.request_id),
                    )
                )

        return audited

    return guard


def _of_tool(exchange: Exchange, log: AuditLog) -> Arguments:
    raw = getattr(exchange.params, "arguments", UNSET)
    if not isinstance(raw, Raw):
        return None
    # A copy, because the original would keep the whole message in memory for as long as the decision waits.
    return bytes(raw) if len(memoryview(raw)) <= MAX_ARGUMENTS else log.digest(memoryview(raw).tobytes())


def _of_prompt(exchange: Exchange, log: AuditLog) -> Arguments:
    given = getattr(exchange.params, "arguments", UNSET)
    return _named(given, log) if isinstance(given, dict) else None


def _of_template(exchange: Exchange, log: AuditLog) -> Arguments:
    return _named(exchange.variables, log)


def _of_resource(exchange: Exchange, log: AuditLog) -> Arguments:
    return None


_ARGUMENTS: dict[Kind, Callable[[Exchange, AuditLog], Arguments]] = {
    "tool": _of_tool,
    "prompt": _of_prompt,
    "template": _of_template,
    "resource": _of_resource,
}


def _named(values: Mapping[str, str], log: AuditLog) -> Arguments:
    if sum(len(name) + len(value) for name, value in values.items()) <= MAX_ARGUMENTS:
        return dict(values)
    return log.digest(repr(sorted(values.items())).encode("utf-8", "backslashreplace"))


def _ending_of(result: object) -> Ending:
    """How a call ended that has a result, or what a guard of the author's took for one."""
    if isinstance(result, TaskResult):
        return ("task", None, None)
    if not isinstance(result, Result):
        return ("error", "internal", None)
    if not isinstance(result, CallToolResult) or result.is_error is not True:
        return OK
    said = result.meta.get(ERROR_KEY) if isinstance(result.meta, dict) else None
    code = said.get("code") if isinstance(said, dict) else None
    return ("error", _word(code) or ToolError.code, None)


def _ending_with(error: BaseException) -> Ending:
    """How a call ended that has none."""
    if isinstance(error, BasculeError):
        return ("error" if error.guard is None else "refused", _code_of(error), error.guard)
    if isinstance(error, CancelledError):
        return ("cancelled", None, None)
    return ("error", "internal", None) if asking_in(error) is None else ("asked", None, None)


def _code_of(error: BasculeError) -> str:
    if isinstance(error, ToolError):
        return error.code
    if isinstance(error, MCPError):
        said = error.data.get("code") if isinstance(error.data, dict) else None
        return _word(said) or str(error.code)
    return "internal"


def _word(code: object) -> str | None:
    return code[:MAX_NAME] if isinstance(code, str) else None


def _trace_in(exchange: Exchange) -> str | None:
    """The id of the trace that a request says it belongs to; whether it is one is looked at later."""
    meta = exchange.params.meta
    if meta is UNSET:
        return None
    parent = meta.traceparent
    return parent[3:35] if type(parent) is str else None


def _cut(request_id: str | int) -> str | int:
    return request_id[:MAX_NAME] if isinstance(request_id, str) else request_id
