"""`bascule check url`: the check of URLs on the command line; names are looked up nowhere but in the line itself."""

from typing import Annotated, Any

from cyclopts import Parameter

from bascule.cli.check import text, verdicts
from bascule.errors import ConfigError, DeclarationError, ToolError
from bascule.late import late

Hosts = Annotated[tuple[str, ...] | None, Parameter(name="--allow", metavar="HOST")]
"""Hosts that may be fetched from; without one, every public host."""


def url(*, allow: Hosts = None, debug: bool = False) -> int:
    """Judge URLs.

    Parameters
    ----------
    allow
        A host that may be fetched from, or *.host for all below it; may be repeated. Without it, every public host.
    debug
        Show the traceback of an error.
    """
    hosts = allowed(allow)
    check: Any = late("bascule.checks.urls:check_chain")

    def judge(asked: dict[str, Any]) -> None:
        try:
            check(text(asked, "url"), _texts(asked.get("redirects") or []), allow=hosts, dns=_dns(asked.get("dns")))
        except ValueError as wrong:
            raise ToolError(f"The URL {wrong}") from None

    return verdicts(judge)


def allowed(allow: tuple[str, ...] | None) -> frozenset[str] | None:
    """The allow-list as the checks want it. Raises ConfigError for what is no host."""
    try:
        hosts: frozenset[str] | None = late("bascule.checks.urls:allowed_hosts")(allow)
    except DeclarationError as wrong:
        raise ConfigError(f"--allow: {wrong}") from None
    return hosts


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ToolError("Redirects and addresses must be lists of texts")
    return value


def _dns(value: Any) -> dict[str, list[str]] | None:
    """The map of hosts to addresses; one address may stand without a list."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ToolError("The field 'dns' must map hosts to addresses")
    return {host: _texts([one] if isinstance(one, str) else one) for host, one in value.items()}
