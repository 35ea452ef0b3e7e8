"""Parameters: what a function declares: annotations resolved, defaults found, the context parameter set apart.

Knows Python's functions; knows no JSON. What cannot be served is refused by a sentence with function and parameter.
"""

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

from bascule.errors import DeclarationError
from bascule.server.annotations import is_field, with_none
from bascule.server.depends import Provided, dependency_in
from bascule.server.questions import Ask
from bascule.server.rules import check_of, has_rule

REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


class Declared(NamedTuple):
    """One parameter as written; `factory`, where set, makes the default."""

    name: str
    annotation: Any
    default: Any
    factory: Callable[[], Any] | None
    keyword_only: bool

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is REQUIRED and self.factory is None


class Asked(NamedTuple):
    """A parameter that the user is asked for: the question, the type of its answer, and what stands in for it."""

    name: str
    message: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the call cannot go on without an answer."""
        return self.default is REQUIRED


class Declaration(NamedTuple):
    """A function's parameters. `context` names the one that takes the context, `place` its position (None: by keyword).

    `returns` is the resolved return annotation, `inspect.Signature.empty` where there is none.
    """

    parameters: tuple[Declared, ...]
    context: str | None
    place: int | None
    returns: Any
    asked: tuple[Asked, ...] = ()
    provided: tuple[Provided, ...] = ()


def declaration_of(function: Callable[..., Any], what: str, context_type: type) -> Declaration:
    """Read a function's declaration. Raises DeclarationError."""
    _refuse_generators(function, what)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise DeclarationError(f"{what}: {function!r} has no signature that can be read; wrap it in a def") from None
    hints = _hints(function, what, context_type)
    bound = function.keywords if isinstance(function, functools.partial) else {}
    parameters: list[Declared] = []
    asked: list[Asked] = []
    provided: list[Provided] = []
    context: str | None = None
    place: int | None = None
    for parameter in signature.parameters.values():
        annotation = hints.get(parameter.name, Any)
        if parameter.name in bound:
            continue
        if _is_context(annotation, context_type):
            if context is not None:
                raise DeclarationError(f"{what}: {context!r} and {parameter.name!r} both take the context; keep one")
            context = parameter.name
            place = len(parameters) if parameter.kind in _POSITIONAL else None
        elif (dependency := dependency_in(annotation)) is not None:
            provided.append(Provided(parameter.name, dependency))
        elif (question := _question(annotation)) is not None:
            _refuse_rule(annotation, what, parameter.name)
            asked.append(Asked(parameter.name, question.message, get_args(annotation)[0], parameter.default))
        else:
            parameters.append(_declared(parameter, annotation, what))
    positional = any(one.kind is inspect.Parameter.POSITIONAL_ONLY for one in signature.parameters.values())
    if positional and (asked or provided):
        raise DeclarationError(
            f"{what}: a function with questions or dependencies cannot have positional-only parameters"
        )
    returns = hints.get("return", inspect.Signature.empty)
    return Declaration(tuple(parameters), context, place, returns, tuple(asked), tuple(provided))


def _question(annotation: Any) -> Ask | None:
    """The question that an annotation declares."""
    found = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, Ask)]
    return found[0] if found else None


def _refuse_rule(annotation: Any, what: str, name: str) -> None:
    try:
        ruled = has_rule(annotation) or check_of(get_args(annotation)[0]) is not None
    except TypeError as error:
        raise DeclarationError(f"{what}: parameter {name!r}: {error}") from None
    if ruled:
        raise DeclarationError(f"{what}: the rule at {name!r} would not be run, because the user is asked for it")


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await, also through methods, partials and callable objects."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_carrier(function))


def doc_of(function: Callable[..., Any]) -> str | None:
    """The docstring of the function that will run, also through partials and callable objects."""
    if isinstance(function, functools.partial):
        return doc_of(function.func)
    return inspect.getdoc(function)


def _refuse_generators(function: Callable[..., Any], what: str) -> None:
    if not callable(function):
        raise DeclarationError(f"{what}: expected a function, got {type(function).__name__}")
    carrier = _carrier(function)
    if inspect.isgeneratorfunction(carrier) or inspect.isasyncgenfunction(carrier):
        raise DeclarationError(f"{what}: a generator is not supported; return a list, or report progress")


def _declared(parameter: inspect.Parameter, annotation: Any, what: str) -> Declared:
    if stars := _VARIADIC.get(parameter.kind):
        raise DeclarationError(
            f"{what}: {stars}{parameter.name} is not supported; name every parameter, or take one dict or list"
        )
    default, factory = parameter.default, None
    if is_field(default):
        annotation = Annotated[annotation, default]
        default = REQUIRED
    if default is REQUIRED:
        default, factory = _field_default(annotation)
    if default is None:
        annotation = with_none(annotation)
    return Declared(parameter.name, annotation, default, factory, parameter.kind not in _POSITIONAL)


def _field_default(annotation: Any) -> tuple[Any, Callable[[], Any] | None]:
    """The default that pydantic's Field gives."""
    for item in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
        if is_field(item):
            if item.default_factory is not None:
                return REQUIRED, item.default_factory
            if not item.is_required():
                return item.default, None
    return REQUIRED, None


def _is_context(annotation: Any, context_type: type) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, context_type)
    origin = get_origin(annotation)
    if origin is Annotated or origin in (types.UnionType, get_origin(int | None)) or _is_typing_union(origin):
        return any(_is_context(part, context_type) for part in get_args(annotation))
    return isinstance(origin, type) and issubclass(origin, context_type)


def _is_typing_union(origin: Any) -> bool:
    return getattr(origin, "_name", None) == "Union"


def _carrier(function: Any) -> Any:
    """The plain function or method that holds the annotations."""
    if isinstance(function, functools.partial):
        return _carrier(function.func)
    if inspect.isclass(function):
        return function.__init__
    if inspect.isroutine(function):
        return function
    return type(function).__call__


def _hints(function: Callable[..., Any], what: str, context_type: type) -> dict[str, Any]:
    carrier = _carrier(function)
    try:
        return get_type_hints(carrier, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError):
        return _hints_one_by_one(inspect.unwrap(carrier), what, context_type)


def _hints_one_by_one(carrier: Any, what: str, context_type: type) -> dict[str, Any]:
    """Resolve each annotation alone, with the names that the function closes over and the context's own."""
    plain = getattr(carrier, "__func__", carrier)
    names = {context_type.__name__: context_type, **_closure(plain)}
    hints: dict[str, Any] = {}
    for name, annotation in getattr(plain, "__annotations__", {}).items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            hints.update(get_type_hints(holder, getattr(plain, "__globals__", {}), names, include_extras=True))
        except NameError as error:
            _unresolved(what, name, error)
        except (TypeError, SyntaxError, AttributeError) as error:
            raise DeclarationError(f"{what}: the annotation of {_called(name)} cannot be read: {error}") from None
    return hints


def _closure(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.getclosurevars(function).nonlocals
    except (TypeError, ValueError):
        return {}


def _unresolved(what: str, name: str, error: NameError) -> NoReturn:
    raise DeclarationError(
        f"{what}: the annotation of {_called(name)} uses the name {error.name!r}, which cannot be found; define it in "
        "the module, outside functions and TYPE_CHECKING blocks"
    ) from None


def _called(name: str) -> str:
    return "the return value" if name == "return" else f"parameter {name!r}"
