"""The dialogue: what a server asks and tells while a command waits for it, and how long that wait may be.

Questions go to the file of `--answer` first, then to the user where there is a terminal, one at a time; where neither
is, nothing is declared and nothing can be asked. The time that a user takes does not count as the server's.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bascule.cli.answers import Answers
from bascule.cli.aside import Aside
from bascule.cli.connection import Aim, WorkOptions, client_of
from bascule.cli.interview import Interview
from bascule.cli.keyboard import Keyboard
from bascule.client.client import Client
from bascule.client.inputs import Asked
from bascule.errors import BasculeError, CallTimedOut, ConfigError, Declined, MCPError
from bascule.wire.inputs import CreateMessageParams, CreateMessageResult, ElicitParams, ElicitResult, Root
from bascule.wire.notices import LogMessageParams

T = TypeVar("T")

_REFUSED = -1
"""The code of a refusal to sample. Source: specification 2025-11-25, client/sampling, "Error Handling"."""


class Dialogue:
    """What happens between a server and one command beside the answer."""

    def __init__(
        self, target: str, seconds: float, answers: Answers | None = None, interview: Interview | None = None
    ) -> None:
        """`target` is the server as the user has named it, `seconds` how long it may take to answer."""
        self._who = target
        self._seconds = seconds
        self._answers = answers
        self._interview = interview
        self._turn = asyncio.Lock()
        self._clock: asyncio.Timeout | None = None
        self._fault: BasculeError | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What a Client takes: handlers where somebody answers, and no time limit where that is a user."""
        timeout = None if self._interview is not None else self._seconds
        able = self._answers is not None or self._interview is not None
        return {"timeout": timeout, **({"on_elicit": self._elicit, "on_sample": self._sample} if able else {})}

    def meet(self, server: str) -> None:
        """Know who asks, by the name that the server gives itself and the target that the user has typed."""
        self._who = f"{server} ({self._who})"

    async def wait(self, answer: Awaitable[T]) -> T:
        """The server's answer. Raises CallTimedOut, ConfigError for a question without answer, Declined."""
        try:
            async with asyncio.timeout(None if self._interview is None else self._seconds) as self._clock:
                result = await answer
        except CallTimedOut:
            raise
        except TimeoutError:
            raise CallTimedOut(f"The server did not answer within {self._seconds:g} seconds") from None
        except MCPError:
            if self._fault is not None:
                raise self._fault from None
            raise
        finally:
            self._clock = None
        if self._fault is not None:
            raise self._fault
        return result

    async def _elicit(self, params: ElicitParams, asked: Asked) -> ElicitResult:
        async with self._taking_turns():
            found = None if self._answers is None else self._answers.form(params, asked.key)
            if found is not None:
                return found
            if self._interview is None:
                raise self._unanswered(params.message)
            ask = self._interview.visit if params.mode == "url" else self._interview.form
            return await ask(self._who, params)

    async def _sample(self, params: CreateMessageParams, asked: Asked) -> CreateMessageResult:
        async with self._taking_turns():
            found = None if self._answers is None else self._answers.sample(params, asked.key)
            if found is None and self._interview is None:
                raise self._unanswered("a question for a model")
            if found is None and self._interview is not None:
                found = await self._interview.sample(self._who, params)
            if found is None:
                raise Declined("You refused the server a model's answer")
            return found

    def _unanswered(self, message: str) -> ConfigError:
        return ConfigError("Nobody answers") if self._answers is None else self._answers.missing(message)

    @asynccontextmanager
    async def _taking_turns(self) -> AsyncIterator[None]:
        """One question at a time; what goes wrong with it refuses it, and ends the command later."""
        async with self._turn:
            self._reset(None)
            try:
                yield
            except (ConfigError, Declined) as fault:
                self._fault = fault
                raise MCPError(str(fault), code=_REFUSED) from None
            finally:
                self._reset(self._seconds)

    def _reset(self, seconds: float | None) -> None:
        """Let the server have so many seconds from now on, or as many as it likes."""
        if self._clock is not None and self._interview is not None:
            self._clock.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


@asynccontextmanager
async def conversing(aimed: Aim, options: WorkOptions, aside: Aside) -> AsyncIterator[tuple[Client, Dialogue]]:
    """A connected client, and the dialogue through which to wait for it.

    Raises ConfigError for answers that cannot be read and for what is no folder, and what `connected` raises.
    """
    answers = None if options.answer is None else Answers(options.answer)
    at_terminal = aside.terminal and sys.stdin is not None and sys.stdin.isatty()
    interview = Interview(aside, Keyboard(sys.stdin.fileno())) if at_terminal else None
    roots = [_root(folder) for folder in options.choices.root]
    dialogue = Dialogue(aimed.shown, options.timeout, answers, interview)
    client = client_of(aimed, options, aside, on_log=_logger(aside), on_roots=roots or None, **dialogue.options)
    async with AsyncExitStack() as stack:
        await dialogue.wait(stack.enter_async_context(client))
        if client.server is not None:
            dialogue.meet(client.server.title or client.server.name)
        if client.capabilities.logging is not None:
            await dialogue.wait(_set_level(client, options.verbose))
        yield client, dialogue


async def _set_level(client: Client, verbose: bool) -> None:
    try:
        await client.set_log_level("debug" if verbose else "info")
    except MCPError:
        pass  # it offers logs and does not let their level be set


def _logger(aside: Aside) -> Callable[[LogMessageParams], None]:
    """A function that shows a log message of the server."""

    def log(said: LogMessageParams) -> None:
        text = said.data if isinstance(said.data, str) else msgspec.json.encode(said.data).decode()
        aside.say(f"{said.level}: {said.logger}: {text}" if said.logger else f"{said.level}: {text}")

    return log


def _root(folder: str) -> Root:
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        raise ConfigError(f"--root takes a folder, and {folder} is none")
    return Root(path.as_uri(), path.name or str(path))
