"""Asking the client while its request is served: questions, the answers that are known, and how a round ends.

Knows keys and bytes; does not know how a question travels. An answer is used for the very question it was given to: by
key and, where the asking was sealed, by the question's digest. Rounds are bounded.
Source: specification 2026-07-28, basic/patterns/mrtr.
"""

import re
from collections.abc import Awaitable, Mapping
from hashlib import blake2s

from msgspec import Raw, Struct

DEFAULT_KEY = re.compile(r"q[0-9]+")
"""The keys of questions that were given none."""

ANSWER_TIMEOUT = 600.0
"""Seconds that a client has to answer a question over a back channel."""

MAX_ROUNDS = 16
"""How often one request may be asked back."""


class Question(Struct, frozen=True):
    """One question: a method and its encoded parameters (None: it has none), and the client capability it needs.

    An answer to a `sealed` one counts only where the state that came with it says that this very question was asked,
    or where it was asked and answered in place; what a client says of its own accord never does.
    """

    method: str
    params: bytes | None
    capability: str
    sealed: bool = False

    @property
    def digest(self) -> bytes:
        """Equal for equal questions only."""
        return blake2s(self.method.encode() + b"\0" + (self.params or b""), digest_size=16).digest()


class Asking(BaseException):
    """Ends a round: these questions must be answered before the handler can go on. Never seen by a client as an error.

    A BaseException, so that a handler's `except Exception` does not swallow it.
    """

    def __init__(self, questions: Mapping[str, Question]) -> None:
        super().__init__("the handler waits for answers")
        self.questions = dict(questions)


class Dialogue:
    """What was asked and answered within one request, over all its rounds.

    `answers` by key, as the client gave them; `asked` the digests of what the sealed state says was asked; `kept` the
    values that the handler wants computed once; `rounds` how often the client was asked back; `claim` tells whether
    this request is the first that came with its state, where somebody wanted to know.
    """

    __slots__ = ("_ordinal", "answers", "asked", "claim", "kept", "mark", "rounds")

    def __init__(self) -> None:
        self.mark: tuple[str, float] | None = None
        """What tells the state that was presented from every other, and until when that matters."""
        self.answers: dict[str, Raw] = {}
        self.asked: dict[str, bytes] = {}
        self.kept: dict[str, bytes] = {}
        self.claim: Awaitable[bool] | None = None
        self.rounds = 0
        self._ordinal = 0

    def next_key(self) -> str:
        """The key of a question that has none of its own: its place among them, alike in every run of the handler."""
        self._ordinal += 1
        return f"q{self._ordinal}"

    def open_questions(self, questions: Mapping[str, Question]) -> dict[str, Question]:
        """Those that have no answer yet, or one to another question of the same key."""
        return {key: question for key, question in questions.items() if not self.answered(key, question)}

    def answered(self, key: str, question: Question) -> bool:
        """Whether there is an answer that counts for this question."""
        digest = self.asked.get(key)
        if key not in self.answers or (digest is None and question.sealed):
            return False
        return digest is None or digest == question.digest


def asking_in(error: BaseException) -> Asking | None:
    """The questions in an exception or a group of them, all in one; None where something else went wrong too."""
    if isinstance(error, Asking):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    found: dict[str, Question] = {}
    for inner in error.exceptions:
        asking = asking_in(inner)
        if asking is None:
            return None
        found |= asking.questions
    return Asking(found)
