"""Trials: each case of a policy test is really called, over a client in memory, at a server whose functions are not
there; what became of it is held against what was expected.

Nothing of the settings that reaches beyond this process is used: no Redis, no audit log, no file of approvals. Cases
with the same caller share what counts calls; every other has it for itself, so that no order of cases matters to them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from msgspec.structs import replace

from bascule.cli.cases import ALLOWED, Case
from bascule.cli.spelling import unknown
from bascule.client.client import Client
from bascule.engine.connection import EraName
from bascule.engine.exchange import LOCAL, Principal
from bascule.engine.settings import AuditSettings, Settings
from bascule.errors import ERROR_KEY, BasculeError, CallTimedOut, ConfigError, InvalidArguments, MCPError, ToolError
from bascule.guards.confirm import FIELD
from bascule.pipeline import Pipeline
from bascule.server.rehearsal import ARGUMENTS, Rehearsal
from bascule.stores.sqlite_file import MEMORY
from bascule.wire.content import TextContent
from bascule.wire.inputs import ElicitParams, ElicitResult

TIMEOUT = 30.0
"""Seconds that a call has: only guards of the author's can need any."""

ANSWERED = "answered"
"""What becomes of a call that a guard has answered in place of the function, and has not refused."""

NO_ANSWER = "no_answer"

_WORDS = {-32601: "method_not_found", -32602: "invalid_params", -32603: "internal", -32021: "missing_capability"}
"""The words for JSON-RPC errors that have none of their own."""


class Came(NamedTuple):
    """What became of a call in one era: a word, the guard that decided, and the sentence that the caller got."""

    era: EraName
    outcome: str
    guard: str | None
    message: str

    def fits(self, case: Case) -> bool:
        """Whether that was expected."""
        return self.outcome == case.expect and case.guard in (None, self.guard)


class Tried(NamedTuple):
    """A case, and what became of it in each era."""

    case: Case
    came: Sequence[Came]

    @property
    def ok(self) -> bool:
        """Whether what was expected came, in every era."""
        return all(one.fits(self.case) for one in self.came)


class Trial:
    """Tries cases at one server. `principals` has those that cases name."""

    def __init__(self, server: Any, settings: Settings, principals: Mapping[str, Principal]) -> None:
        self._server = server
        self._settings = _apart(settings)
        self._principals = principals

    def check(self, cases: Sequence[Case]) -> None:
        """Raise ConfigError for a case that calls what the server does not have, or expects a guard that there is
        not."""
        rehearsal: Rehearsal = self._server.rehearsal(self._pipeline())
        for number, case in enumerate(cases, 1):
            where = f"[[call]] {number}"
            if not rehearsal.has(case.kind, case.feature):
                known = rehearsal.names(case.kind)
                raise ConfigError(unknown(f"{where}: the server has no {case.kind}", case.feature, known))
            if case.guard is not None and case.guard not in rehearsal.deciders:
                raise ConfigError(unknown(f"{where}: there is no guard", case.guard, rehearsal.deciders))

    async def run(self, cases: Sequence[Case]) -> AsyncIterator[Tried]:
        """What became of each case, one after the other."""
        async with AsyncExitStack() as stack:
            shared: dict[tuple[EraName, str], _Stage] = {}
            for number, case in enumerate(cases, 1):
                came = []
                for era in case.eras:
                    if case.caller is None:
                        async with self._stage(era) as stage:
                            came.append(await stage.outcome(case, self._who(case, f"call {number}")))
                        continue
                    if (era, case.caller) not in shared:
                        shared[era, case.caller] = await stack.enter_async_context(self._stage(era))
                    came.append(await shared[era, case.caller].outcome(case, self._who(case, case.caller)))
                yield Tried(case, came)

    @asynccontextmanager
    async def _stage(self, era: EraName) -> "AsyncIterator[_Stage]":
        pipeline = self._pipeline()
        async with pipeline.running(), AsyncExitStack() as stack:
            yield _Stage(self._server.rehearsal(pipeline), era, stack)

    def _pipeline(self) -> Pipeline:
        return Pipeline(self._settings, self._server.info.name)

    def _who(self, case: Case, subject: str) -> Principal:
        """Who calls: the principal that is named, somebody with these scopes, or else the user at this machine."""
        if case.principal is not None:
            return self._principals[case.principal]
        if case.scopes is None:
            return LOCAL
        return Principal("bascule policy test", subject, scopes=frozenset(case.scopes), anonymous=False)


class _Stage:
    """One rehearsal of a server in one era, and the clients that call it."""

    def __init__(self, rehearsal: Rehearsal, era: EraName, stack: AsyncExitStack) -> None:
        self._rehearsal = rehearsal
        self._era = era
        self._stack = stack
        self._clients: dict[tuple[Any, ...], Client] = {}
        self._answer: Any = "cancel"

    async def outcome(self, case: Case, principal: Principal) -> Came:
        """What becomes of the last of a case's calls."""
        client = await self._client(principal, asked=case.answer is not None)
        self._answer = case.answer
        word = message = ""
        for _ in range(case.times):
            word, message = await _called(client, case)
        watch = self._rehearsal.watch
        if word == ALLOWED and not watch.reached:
            word = ANSWERED
        if watch.decided == ARGUMENTS and word == "invalid_params":
            word = InvalidArguments.code
        return Came(self._era, word, None if word == ALLOWED else watch.decided, message)

    async def _client(self, principal: Principal, *, asked: bool) -> Client:
        """A client of this caller, who can or cannot be asked; the one of before, where there was one."""
        key = (principal.key, principal.scopes, principal.anonymous, asked)
        if key not in self._clients:
            client = Client(
                self._rehearsal,
                era=self._era,
                principal=principal,
                timeout=TIMEOUT,
                retries=0,
                on_elicit=self._elicit if asked else None,
            )
            self._clients[key] = await self._stack.enter_async_context(client)
        return self._clients[key]

    def _elicit(self, question: ElicitParams) -> ElicitResult:
        return ElicitResult(self._answer, {FIELD: True} if self._answer == "accept" else None)


async def _called(client: Client, case: Case) -> tuple[str, str]:
    """The word and the sentence for what becomes of one call."""
    try:
        if case.resource is not None:
            await client.read_resource(case.resource)
        elif case.prompt is not None:
            await client.get_prompt(case.prompt, case.arguments)
        else:
            result = await client.call_tool(case.feature, case.arguments)
            if result.is_error:
                text = " ".join(block.text for block in result.content if isinstance(block, TextContent))
                said = result.meta.get(ERROR_KEY) if isinstance(result.meta, dict) else None
                return str(said["code"]) if isinstance(said, dict) and "code" in said else ToolError.code, text
    except CallTimedOut as error:
        return NO_ANSWER, str(error)
    except MCPError as error:
        code = error.data.get("code") if isinstance(error.data, dict) else None
        return code if isinstance(code, str) else _WORDS.get(error.code, f"error {error.code}"), error.message
    except BasculeError as error:
        return NO_ANSWER, str(error)
    return ALLOWED, ""


def _apart(settings: Settings) -> Settings:
    """The settings without what reaches beyond this process."""
    return replace(
        settings,
        audit=AuditSettings(),
        limits=replace(settings.limits, redis_url=""),
        approvals=replace(settings.approvals, file=MEMORY if settings.approvals.file else ""),
    )
