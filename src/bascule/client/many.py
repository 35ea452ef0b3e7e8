"""The client of many servers: one `Client` each, started side by side, closed in reverse order.

Knows clients and lists of servers; knows no transport and no era. What happens to one server happens to it alone: one
that cannot be used, started, listed or closed is told of and leaves the others as they are. After the `async with`
nothing of any server is left, whatever was raised or cancelled.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self

from bascule.client.client import TIMEOUT, Client, OnLog, OnNotice, OnProgress
from bascule.client.inputs import OnElicit, OnRoots, OnSample, of_server
from bascule.client.placeholders import Placeholders
from bascule.client.servers_file import Listed, is_document, read_document, read_entries, read_file, workspace_of
from bascule.client.session import RETRIES
from bascule.client.tool_names import joined_names
from bascule.engine.connection import EraName
from bascule.errors import ConfigError, ConnectionLost, MCPError, MethodNotFound, ServerUnavailable
from bascule.version import VERSION
from bascule.wire.tools import Tool

log = logging.getLogger("bascule")


class Clients(Mapping[str, Client]):
    """Clients of many servers by name; `async with` connects them. A mapping of those that are connected."""

    def __init__(
        self,
        servers: Mapping[str, Any] | Listed,
        *,
        strict: bool = False,
        inputs: Mapping[str, str] | None = None,
        workspace: str | os.PathLike[str] = "",
        era: EraName | None = None,
        name: str = "bascule",
        version: str = VERSION,
        timeout: float | None = TIMEOUT,
        retries: int = RETRIES,
        on_log: OnLog | None = None,
        on_notice: OnNotice | None = None,
        on_elicit: OnElicit | None = None,
        on_sample: OnSample | None = None,
        on_roots: OnRoots | None = None,
    ) -> None:
        """`servers` has the form of an `mcpServers` file, or maps names to targets of `Client` (entries are, too).

        A server that cannot be used is left out and told of in `failures`; `strict` makes it an ExceptionGroup.
        `inputs` are the values of `${input:id}`, `workspace` is the folder that `${workspaceFolder}` names (the current
        one by default). The rest is as for `Client`, and holds for every server.
        """
        options = {"era": era, "name": name, "version": version, "timeout": timeout, "retries": retries}
        handlers = {"on_log": on_log, "on_notice": on_notice}
        make: Any = partial(Client, **options, **handlers)  # type: ignore[arg-type]
        listed = servers if isinstance(servers, Listed) else _listed(servers, workspace, inputs)
        self._strict = strict
        self._disabled = frozenset(listed.disabled)
        self._faults: dict[str, Exception] = dict(listed.faults)
        self._clients: dict[str, Client] = {}
        for each, target in listed.targets.items():
            try:
                self._clients[each] = make(
                    target,
                    on_elicit=of_server(on_elicit, 1, each),
                    on_sample=of_server(on_sample, 1, each),
                    on_roots=of_server(on_roots, 0, each),
                )
            except (ConfigError, TypeError) as wrong:
                self._faults[each] = wrong
        self._failures = dict(self._faults)
        self._running: dict[str, Client] | None = None
        self._tools: dict[str, list[Tool]] | None = None

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str],
        *,
        strict: bool = False,
        inputs: Mapping[str, str] | None = None,
        workspace: str | os.PathLike[str] | None = None,
        era: EraName | None = None,
        name: str = "bascule",
        version: str = VERSION,
        timeout: float | None = TIMEOUT,
        retries: int = RETRIES,
        on_log: OnLog | None = None,
        on_notice: OnNotice | None = None,
        on_elicit: OnElicit | None = None,
        on_sample: OnSample | None = None,
        on_roots: OnRoots | None = None,
    ) -> Self:
        """The clients of the servers in a file, as Claude Desktop, Claude Code, Cursor and VS Code write it.

        `workspace` is by default the file's folder, or the one above a hidden one such as `.vscode`.
        Raises ConfigError where the file cannot be read, is no JSON or lists no servers.
        """
        folder = workspace_of(path) if workspace is None else workspace
        listed = read_document(read_file(path), os.environ, workspace=folder, inputs=inputs)
        return cls(
            listed,
            strict=strict,
            era=era,
            name=name,
            version=version,
            timeout=timeout,
            retries=retries,
            on_log=on_log,
            on_notice=on_notice,
            on_elicit=on_elicit,
            on_sample=on_sample,
            on_roots=on_roots,
        )

    @property
    def failures(self) -> Mapping[str, Exception]:
        """What went wrong, by server: with its entry, when it was started, or when its tools were listed last."""
        return MappingProxyType(self._failures)

    def __getitem__(self, name: str) -> Client:
        """The client of one server. Raises ServerUnavailable (a KeyError), which says why there is none."""
        client = self._connected.get(name)
        if client is None:
            raise ServerUnavailable(self._why_not(name)) from self._failures.get(name)
        return client

    def __iter__(self) -> Iterator[str]:
        running = self._running or {}
        return iter([name for name in self._clients if name in running])

    def __len__(self) -> int:
        return len(self._running or {})

    def __repr__(self) -> str:
        return f"<Clients: connected {list(self)}, failed {list(self._failures)}>"

    async def __aenter__(self) -> Self:
        """Connect to all servers, side by side. Raises ExceptionGroup where `strict` is set and one of them failed."""
        if self._running is not None:
            raise RuntimeError("These clients are connected already")
        self._running, self._tools, self._failures = {}, None, dict(self._faults)
        try:
            async with asyncio.TaskGroup() as group:
                for name, client in self._clients.items():
                    group.create_task(self._start(name, client, self._running))
            if self._strict:
                _raise_all("could not be started", self._failures)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all, the last one first. Raises ExceptionGroup where that failed and nothing else did."""
        failed = await self._close()
        if error is None:
            _raise_all("could not be closed", failed)

    async def list_tools(self) -> dict[str, list[Tool]]:
        """All tools by server. A server that cannot list them is left out, and told of in `failures`.

        Raises ExceptionGroup instead where `strict` is set.
        """
        found: dict[str, list[Tool]] = {}
        failed: dict[str, Exception] = {}
        connected = self._connected
        async with asyncio.TaskGroup() as group:
            for name, client in connected.items():
                group.create_task(self._list(name, client, found, failed))
        if self._strict:
            _raise_all("could not list their tools", failed)
        self._tools = {name: found[name] for name in self._clients if name in found}
        return dict(self._tools)

    def tools(self) -> list[tuple[str, Tool]]:
        """What `list_tools` gave last, as pairs of a server's name and a tool."""
        _ = self._connected
        if self._tools is None:
            raise RuntimeError("The tools were not listed yet: await list_tools() first")
        return [(name, tool) for name, tools in self._tools.items() for tool in tools]

    def tool_names(self, prefix: str = "{server}_") -> dict[str, tuple[str, str]]:
        """Names for a model, each with the server and the tool that it means: the first two arguments of `call_tool`.

        `{server}` in `prefix` stands for the server's name. Names are of the 64 characters that models take; those
        that would be longer, or that two tools would share, end in a digest.
        """
        return joined_names(((server, tool.name) for server, tool in self.tools()), prefix)

    async def call_tool(
        self,
        server: str,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        into: Any = None,
    ) -> Any:
        """Call a tool of one server, as `Client.call_tool` does. Raises ServerUnavailable where it is not connected."""
        return await self[server].call_tool(
            name, arguments, into=into, timeout=timeout, on_progress=on_progress, meta=meta, headers=headers
        )

    @property
    def _connected(self) -> dict[str, Client]:
        if self._running is None:
            raise RuntimeError("These clients are not connected: use them inside 'async with'")
        return self._running

    def _why_not(self, name: str) -> str:
        failure = self._failures.get(name)
        if failure is not None:
            reason = str(failure) or type(failure).__name__
            told = reason.startswith(f"The server {name!r}")
            return reason if told else f"The server {name!r} could not be started: {reason}"
        if name in self._disabled:
            return f"The server {name!r} is disabled"
        return _unknown(str(name), [*self, *self._failures])

    async def _start(self, name: str, client: Client, running: dict[str, Client]) -> None:
        try:
            await client.__aenter__()
        except asyncio.CancelledError:  # of all, or only of this one
            self._failures[name] = ConnectionLost(f"The server {name!r} could not be started: that was cancelled")
            raise
        except Exception as wrong:
            self._failed(name, "start", wrong)
        else:
            running[name] = client

    async def _list(
        self, name: str, client: Client, found: dict[str, list[Tool]], failed: dict[str, Exception]
    ) -> None:
        try:
            found[name] = await _tools_of(client)
        except Exception as wrong:
            failed[name] = wrong
            self._failed(name, "list its tools", wrong)
        else:
            self._failures.pop(name, None)

    def _failed(self, name: str, what: str, wrong: Exception) -> None:
        """Keep an exception. The log has its kind only: its text may come from the server."""
        wrong.add_note(f"The server is {name!r}")
        self._failures[name] = wrong
        log.warning("the server %r did not %s (%s)", name, what, type(wrong).__name__)

    async def _close(self) -> dict[str, Exception]:
        """Close what runs, all of it; what would have ended that early is raised when it is done."""
        running, self._running, self._tools = self._running or {}, None, None
        failed: dict[str, Exception] = {}
        stop: BaseException | None = None
        for name in [name for name in reversed(self._clients) if name in running]:
            try:
                await running[name].__aexit__(None, None, None)
            except Exception as wrong:
                failed[name] = wrong
                log.warning("the server %r did not close cleanly (%s)", name, type(wrong).__name__)
            except BaseException as wrong:
                stop = wrong
        if stop is not None:
            raise stop
        return failed


def _listed(servers: Mapping[str, Any], workspace: str | os.PathLike[str], inputs: Mapping[str, str] | None) -> Listed:
    """What a mapping lists, of either form."""
    if is_document(servers):
        return read_document(servers, os.environ, workspace=workspace, inputs=inputs)
    if not all(isinstance(name, str) for name in servers):
        raise TypeError("The names of servers must be text")
    entries = {name: target for name, target in servers.items() if isinstance(target, Mapping)}
    listed = read_entries(entries, Placeholders(os.environ, workspace, inputs))
    unusable = listed.faults.keys() | listed.disabled
    targets = {name: listed.targets.get(name, target) for name, target in servers.items() if name not in unusable}
    return Listed(targets, listed.faults, listed.disabled)


async def _tools_of(client: Client) -> list[Tool]:
    """The tools of a server; none where it has no such method and never said that it had."""
    try:
        return await client.list_tools()
    except MCPError as refused:
        if refused.code == MethodNotFound.code and client.capabilities.tools is None:
            return []
        raise


def _raise_all(what: str, failed: Mapping[str, Exception]) -> None:
    if failed:
        raise ExceptionGroup(f"Servers that {what}: {', '.join(map(repr, failed))}", list(failed.values()))


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(map(repr, known)) or 'none'}"
    return f"There is no server {name!r}; {hint}"
