"""The tasks extension: a call that goes on after its answer, and the requests that look after it.

Source: extension `io.modelcontextprotocol/tasks`, "Tasks", "Task Polling", "Task Update Requests", "Task Cancellation".
"""

from typing import Any, Literal

from msgspec import UNSET, Raw, UnsetType

from bascule.wire.inputs import InputRequest
from bascule.wire.jsonrpc import ErrorObject
from bascule.wire.requests import PREFIX, RequestParams
from bascule.wire.results import Result

EXTENSION = PREFIX + "tasks"

Status = Literal["working", "input_required", "completed", "cancelled", "failed"]


class TaskParams(RequestParams):
    """Which task to look at, or to cancel."""

    task_id: str


class UpdateTaskParams(TaskParams):
    """Answers to what a task asks, by key."""

    input_responses: dict[str, Raw]


class TaskResult(Result, kw_only=True):
    """A task as it stands: `result` once it is completed, `error` where it failed, `input_requests` while it asks.

    Times are ISO 8601 in UTC; `ttl_ms` counts from the creation.
    """

    task_id: str
    status: Status
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int | UnsetType = UNSET
    status_message: str | UnsetType = UNSET
    input_requests: dict[str, InputRequest] | UnsetType = UNSET
    result: Any = UNSET
    error: ErrorObject | UnsetType = UNSET
