"""The interview: puts what a server asks before the user at the terminal, and takes the answer.

What the server says stands behind bars, so that it cannot pass for a line of ours. Nothing is sent before the user has
seen it whole and agreed, no page is opened without consent, and `/decline`, `/cancel` and Ctrl-D work at every prompt.
Source: specification 2026-07-28, client/elicitation, "User Interaction Model"; client/sampling.
"""

import asyncio
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import UnsetType

from bascule.cli.aside import Aside
from bascule.cli.forms import Field, Unfit, fields, hint, read, shown
from bascule.cli.keyboard import Keyboard
from bascule.late import late
from bascule.wire.content import TextContent
from bascule.wire.inputs import (
    Action,
    CreateMessageParams,
    CreateMessageResult,
    ElicitParams,
    ElicitResult,
    SamplingMessage,
)

_LONGEST = 8000
_MODEL = "a person at a terminal"


class Left(Exception):
    """The user does not answer: "decline" refuses, "cancel" leaves it open."""

    def __init__(self, action: Action) -> None:
        super().__init__(action)
        self.action: Action = action


class Interview:
    """One user at one terminal."""

    def __init__(self, aside: Aside, keyboard: Keyboard) -> None:
        self._aside = aside
        self._keyboard = keyboard

    async def form(self, who: str, params: ElicitParams) -> ElicitResult:
        """Ask for each field in turn, and send what the user agrees to."""
        schema = None if isinstance(params.requested_schema, UnsetType) else params.requested_schema
        wanted = fields(schema)
        self._introduce(f"{who} asks:", params.message)
        self._aside.say("(/decline refuses, /cancel or Ctrl-D leaves it open)")
        given: dict[str, Any] = {}
        try:
            while True:
                for field in wanted:
                    await self._fill(field, given)
                if await self._agreed(wanted, given):
                    return ElicitResult("accept", given)
        except Left as left:
            return ElicitResult(left.action)

    async def visit(self, who: str, params: ElicitParams) -> ElicitResult:
        """Show a page's address, and open it if the user wants that."""
        url = "" if isinstance(params.url, UnsetType) else params.url
        place = _page(url)
        if place is None:
            self._introduce(f"{who} asks you to open what is no web page; this was declined:", url)
            return ElicitResult("decline")
        self._introduce(f"{who} asks you to open a page:", params.message)
        self._aside.say(f"Host: {_host(place)}\nURL:  {url}")
        for warning in _doubts(place):
            self._aside.say(f"Careful: {warning}")
        try:
            answer = await self._choice(
                "Open it in a browser? [y = open it, m = I open it myself, n = decline] ",
                {"y": "open", "yes": "open", "m": "myself", "n": "decline", "no": "decline"},
            )
        except Left as left:
            return ElicitResult(left.action)
        if answer == "decline":
            return ElicitResult("decline")
        if answer == "open" and not await asyncio.to_thread(late("webbrowser:open"), url):
            self._aside.say("No browser could be started; please open the URL yourself")
        return ElicitResult("accept")

    async def sample(self, who: str, params: CreateMessageParams) -> CreateMessageResult | None:
        """Let the user answer in place of a model; None where the user refuses."""
        self._introduce(f"{who} asks for a model's answer, of at most {params.max_tokens} tokens:", _spoken(params))
        self._aside.say("Type the answer and end it with an empty line (/decline or Ctrl-D refuses)")
        lines: list[str] = []
        try:
            while (line := await self._line("> ")) or not lines:
                lines += [line] if line else []
        except Left:
            return None
        return CreateMessageResult("assistant", TextContent("\n".join(lines)), _MODEL, "endTurn")

    async def _fill(self, field: Field, given: dict[str, Any]) -> None:
        """Ask for one field until the answer fits; what was given before, or the default, is the suggestion."""
        self._describe(field)
        has = field.name in given or field.has_default
        suggestion = given.get(field.name, field.form.get("default")) if has else None
        ways = [hint(field)]
        if has:
            ways.append(f"Enter for {shown(field, suggestion)}")
        if not field.required:
            ways.append("/skip to leave it out" if has else "Enter to leave it out")
        while True:
            text = await self._line(f"  ({'; '.join(ways)})\n> ")
            if not field.required and (text == "/skip" or (not text.strip() and not has)):
                given.pop(field.name, None)
                return
            try:
                if text.strip():
                    given[field.name] = read(field, text)
                elif has:
                    given[field.name] = suggestion
                else:
                    raise Unfit("an answer is needed")
            except Unfit as wrong:
                self._aside.say(f"  That does not fit: {wrong}")
            else:
                return

    def _describe(self, field: Field) -> None:
        self._aside.say(f"\n{_line(field.title)}{'' if field.required else ' (optional)'}")
        if field.description:
            self._aside.say(_barred(field.description))
        if field.secret:
            self._aside.say("  Careful: this asks for a secret, and a form is no safe way to give one")
        for number, choice in enumerate(field.choices, 1):
            self._aside.say(f"  {number}) {_line(choice.title)}")

    async def _agreed(self, wanted: list[Field], given: dict[str, Any]) -> bool:
        """Show all answers; False where the user wants to change them."""
        self._aside.say("\nThis will be sent:" if given else "\nNo answers will be sent, only that you agree")
        for field in wanted:
            if field.name in given:
                self._aside.say(f"  {_line(field.title)}: {_line(shown(field, given[field.name]))}")
        change = ", e = change" if wanted else ""
        agreed: bool = await self._choice(
            f"Send it? [Enter = send{change}, n = decline] ",
            {"": True, "y": True, "yes": True, **({"e": False} if wanted else {}), "n": None, "no": None},
        )
        return agreed

    async def _choice(self, prompt: str, ways: dict[str, Any]) -> Any:
        """One of several answers; None among them refuses."""
        while True:
            word = (await self._line(prompt)).strip().lower()
            if word in ways:
                if ways[word] is None:
                    raise Left("decline")
                return ways[word]

    async def _line(self, prompt: str) -> str:
        """What the user types. Raises Left."""
        self._aside.ask(prompt)
        line = None
        try:
            line = await self._keyboard.line()
        finally:
            self._aside.heard()
            if line is None:
                self._aside.say("")  # whatever is said next begins on a line of its own
        if line is None:
            raise Left("cancel")
        if line.strip() in ("/decline", "/cancel"):
            raise Left("decline" if line.strip() == "/decline" else "cancel")
        return line

    def _introduce(self, head: str, text: str) -> None:
        self._aside.say(f"\n{_line(head)}\n{_barred(text)}")


def _barred(text: str) -> str:
    """What a server says, each line behind a bar; cut where it is very long."""
    shown_text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "\n".join(f"  | {line}" for line in shown_text.splitlines() or [""])


def _line(text: str) -> str:
    return " ".join(text.split())


def _page(url: str) -> SplitResult | None:
    """The parts of a web page's address; None for anything else."""
    try:
        place = urlsplit(url)
        valid = place.scheme in ("http", "https") and bool(place.hostname) and url.isprintable() and " " not in url
    except ValueError:
        return None
    return place if valid else None


def _host(place: SplitResult) -> str:
    return place.netloc.rpartition("@")[2]


def _doubts(place: SplitResult) -> list[str]:
    """What a user should know before opening a page."""
    host = place.hostname or ""
    found = []
    if place.scheme == "http":
        found.append("the page is not encrypted (http)")
    if "@" in place.netloc:
        found.append("what stands before the @ is not the host")
    if not host.isascii() or "xn--" in host:
        found.append("the host has letters that may look like others")
    return found


def _spoken(params: CreateMessageParams) -> str:
    """A conversation as text."""
    parts = [] if params.system_prompt is None else [f"[system] {params.system_prompt}"]
    parts += [f"[{message.role}] {_said(message)}" for message in params.messages]
    if params.tools:
        names = [str(tool.get("name")) for tool in params.tools if isinstance(tool, dict)]
        parts.append(f"[tools, which only a model could call] {', '.join(names)}")
    return "\n".join(parts)


def _said(message: SamplingMessage) -> str:
    blocks = message.content if isinstance(message.content, list) else [message.content]
    return "\n".join(block.text if isinstance(block, TextContent) else _other(block) for block in blocks)


def _other(block: Any) -> str:
    data = getattr(block, "data", None)
    if isinstance(data, str):
        return f"[{block.mime_type}, {len(data)} characters of base64]"
    return msgspec.json.encode(block).decode()
