"""Docstrings: the three styles in which parameters are described."""

import pytest

from bascule.server.docstring import read

GOOGLE = """Find things.

    Args:
        city (str): The city
            to look in.
        limit: How many.

    Returns:
        Things.
    """

NUMPY = """Find things.

    Parameters
    ----------
    city : str
        The city to look in.
    limit
        How many.

    Returns
    -------
    Things.
    """

SPHINX = """Find things.

    :param str city: The city
        to look in.
    :type city: str
    :param limit: How many.

    Returns: Things.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX])
def test_descriptions_are_taken_out(text: str) -> None:
    description, parameters = read(text, {"city", "limit"})
    assert parameters == {"city": "The city to look in.", "limit": "How many."}
    assert description is not None
    assert description.startswith("Find things.\n\nReturns")
    assert "look in" not in description


def test_a_section_that_names_no_parameter_stays() -> None:
    text = "Find.\n\nArgs:\n    other: thing"
    assert read(text, {"city"}) == (text, {})


def test_nothing_is_read_from_nothing() -> None:
    assert read(None, {"a"}) == (None, {})
    assert read("\nArgs:\n    a: It", {"a"}) == (None, {"a": "It"})
