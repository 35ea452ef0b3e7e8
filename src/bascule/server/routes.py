"""Routes: the pages that an author puts beside the endpoint, and those of the servers mounted here.

Knows paths, functions and ASGI applications by the parameters that they take; knows no HTTP server. Paths are fixed
texts without variables, one spelling each, so that whoever stands before the server and looks at paths sees what it
sees.
"""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from bascule.engine.routes import HttpRequest, HttpResponse, Page, Place
from bascule.errors import (
    BadRequest,
    Busy,
    ConfigError,
    DeclarationError,
    MCPError,
    PermissionDenied,
    RateLimited,
    ToolError,
    unforeseen,
)
from bascule.server.mounting import checked_prefix
from bascule.server.parameters import is_coroutine_function

GET = ("GET",)
"""The methods of a page that names none."""

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)+")
_DOTS = re.compile(r"/\.{1,2}(/|$)")
_RESERVED = frozenset(("/health", "/healthz", "/readyz", "/sse", "/messages"))
_STATUSES: dict[type[Exception], int] = {RateLimited: 429, Busy: 503, PermissionDenied: 403}


class Home(Protocol):
    """The server that pages belong to."""

    async def in_thread(self, function: Callable[..., Any], *arguments: Any, key: object) -> Any:
        """Run a function in a thread. Raises Busy."""
        ...


class PageTable:
    """What one server serves beside its endpoint."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._places: dict[str, Place] = {}
        self._applications: list[str] = []
        """The paths below which an application answers, the longest first."""
        self._outer: list[tuple[PageTable, str]] = []
        self._endpoint: set[str] = set()

    def declare(self, path: str, handler: Any, methods: Sequence[str], public: bool) -> Any:
        """Serve what `handler` answers at a path; without one, what does so for the function that it is given.

        Raises DeclarationError.
        """
        _check_path(path)
        named = _checked_methods(path, methods)

        def declared(given: Any) -> Any:
            self._add([self._place(path, given, named, public)])
            return given

        return declared if handler is None else declared(handler)

    def adoption(self, other: "PageTable", prefix: str | None) -> Callable[[], None]:
        """What takes in all that another table has, now and later. Raises DeclarationError where a path is taken."""
        below = "" if prefix is None else "/" + checked_prefix(prefix)
        places = [place._replace(path=below + place.path) for place in other._places.values()]
        self._check(places)

        def adopt() -> None:
            self._put(places)
            other._outer.append((self, below))

        return adopt

    def find(self, path: str) -> Place | None:
        """What is served at a path: a page there, or else the nearest application above it."""
        found = self._places.get(path)
        if found is not None:
            return found
        for above in self._applications:
            if path.startswith(above + "/"):
                return self._places[above]
        return None

    def reserve(self, paths: Collection[str]) -> None:
        """Keep paths for the endpoint. Raises ConfigError where one is taken."""
        for path in sorted(paths):
            if path in self._places:
                raise ConfigError(
                    f"Both a page and the MCP endpoint are at {path}; move the page, or the endpoint (path in [http])"
                )
        self._endpoint.update(paths)

    def _place(self, path: str, given: Any, methods: tuple[str, ...], public: bool) -> Place:
        if _takes(given, path) == 3:
            if methods != GET:
                raise DeclarationError(f"The application at {path} says itself which methods it answers: leave methods")
            return Place(path, {}, given, public)
        page = Page(_answering(self._home, given, f"page {path}"), public)
        return Place(path, dict.fromkeys(methods, page), None, public)

    def _add(self, places: list[Place]) -> None:
        """Serve these here and where this is mounted, or nowhere. Raises DeclarationError."""
        self._check(places)
        self._put(places)

    def _check(self, places: list[Place]) -> None:
        for place in places:
            if place.path in self._endpoint or place.path in _RESERVED:
                raise DeclarationError(f"The path {place.path} is the server's own: choose another for the page")
            there = self._places.get(place.path)
            if there is not None and (_alone(there) or _alone(place) or there.pages.keys() & place.pages.keys()):
                raise DeclarationError(f"There is a page at {place.path} already")
        for outer, below in self._outer:
            outer._check([place._replace(path=below + place.path) for place in places])

    def _put(self, places: list[Place]) -> None:
        for place in places:
            there = self._places.get(place.path, place)
            pages, public = {**there.pages, **place.pages}, there.public and place.public
            self._places[place.path] = place._replace(pages=pages, public=public)
        self._applications = sorted((path for path in self._places if _alone(self._places[path])), key=len)[::-1]
        for outer, below in self._outer:
            outer._put([place._replace(path=below + place.path) for place in places])


def _alone(place: Place) -> bool:
    return place.application is not None


def _check_path(path: object) -> None:
    if not isinstance(path, str) or not _PATH.fullmatch(path) or _DOTS.search(path):
        raise DeclarationError(
            f"The path {path!r} of a page must be like /metrics or /reports/daily: it begins with a slash, ends with "
            "none, and is not the root, which is the endpoint's; variables such as {name} are for an ASGI application"
        )
    if path in _RESERVED:
        raise DeclarationError(f"The path {path} is the server's own: choose another for the page")


def _checked_methods(path: str, methods: Sequence[str]) -> tuple[str, ...]:
    named = () if isinstance(methods, str) else tuple(methods)
    if not named or not set(named) <= set(_METHODS):
        raise DeclarationError(
            f"The methods of the page {path} must be a list of some of {', '.join(_METHODS)}; HEAD comes with GET, and "
            "OPTIONS is answered by the server"
        )
    return named


def _takes(given: Any, path: str) -> int:
    """How many arguments a handler takes: 1 for a page, 3 for an ASGI application. Raises DeclarationError."""
    try:
        parameters = [] if inspect.isclass(given) else [*inspect.signature(given).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    needed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    positional = [one for one in needed if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(positional) not in (1, 3) or any(one.kind is one.KEYWORD_ONLY for one in needed):
        raise DeclarationError(
            f"What answers at {path} must be a function of one argument, the request, or an ASGI application "
            "(scope, receive, send)"
        )
    return len(positional)


def _answering(home: Home, function: Callable[[HttpRequest], Any], what: str) -> Any:
    """The function as a page: its lifespan is its own server's, its failures are refusals."""
    is_async = is_coroutine_function(function)

    async def answer(request: HttpRequest, state: Mapping[Any, Any]) -> HttpResponse:
        asked = replace(request, lifespan=state.get(home))
        try:
            given = await function(asked) if is_async else await home.in_thread(function, asked, key=answer)
            return (given if isinstance(given, HttpResponse) else HttpResponse(given)).encoded()
        except BadRequest:
            raise
        except Exception as error:
            raise _refusal(what, error) from None

    return answer


def _refusal(what: str, error: Exception) -> MCPError:
    """What a failed page answers: the refusal of a limit as it is, and of anything else no more than a reference."""
    status = _STATUSES.get(type(error))
    if isinstance(error, ToolError) and status is not None:
        refused = MCPError(error.message, code=status, status=status, data={"code": error.code, **error.details})
        refused.retry_after = error.details.get("retryAfter")
        return refused
    failed = unforeseen(what, error)
    failed.status = 500
    return failed
