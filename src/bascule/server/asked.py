"""Declared questions: parameters that the user fills in before a function runs, as `Annotated[int, Ask("How many?")]`.

All of them are asked in one round. A default stands in where nobody can be asked, and for a user who declines.
"""

from collections.abc import Sequence
from typing import Any

from bascule.errors import Declined
from bascule.server.context import Context
from bascule.server.parameters import Asked
from bascule.server.questions import Elicit


async def answers_to(context: Context, asked: Sequence[Asked]) -> dict[str, Any]:
    """The answers by parameter. Raises Declined, NotAnswered, MissingCapability, and Asking where the round ends."""
    able = context.client.can("elicitation")
    questions = {one.name: Elicit(one.message, one.annotation) for one in asked if able or one.required}
    given = await context.ask_all(questions)
    found: dict[str, Any] = {}
    for one in asked:
        answer = given.get(one.name)
        if answer is not None and answer.accepted:
            found[one.name] = answer.content
        elif one.required:
            raise Declined(
                f"The user did not answer the question: {one.message}",
                details={"action": answer.action if answer else "cancel"},
            )
        else:
            found[one.name] = one.default
    return found
