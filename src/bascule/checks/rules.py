"""Rules: what an argument must mean, where its type alone does not say enough.

A rule stands in the type, `Annotated[str, Rule]`, and runs when the arguments are decoded, before anything is executed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Rule(ABC):
    """What a value must mean; subclass it and put an instance into a parameter's type:

        async def send(to: Annotated[str, InDomain("example.com")]) -> str: ...

    `notes` are keywords for the parameter's JSON Schema, such as `{"format": "email"}`.
    """

    notes: Mapping[str, Any] = {}

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The value that the function gets: the one that came, or what it stands for.

        Raises ValueError with what completes a sentence that starts with the argument's name ("must be an address at
        example.com"), or a ToolError with a whole sentence. Must not block: it runs on the event loop.
        """
