"""A folder with a server under a policy, whose functions leave a trace that they ran."""

from pathlib import Path

CITIES = """
from contextlib import asynccontextmanager
from pathlib import Path
from bascule import Server

HERE = Path(__file__).parent

def ran(what):
    (HERE / "ran.txt").open("a").write(what + "\\n")

@asynccontextmanager
async def lifespan(server):
    ran("lifespan")
    yield {}

app = Server("cities", lifespan=lifespan, cache_ttl_ms=60_000)

@app.tool(scopes=["tools:read"])
async def weather(city: str, days: int = 1) -> dict[str, str]:
    ran("weather")
    return {"city": city}

@app.tool(scopes=["tools:write"], confirm=True)
def drop_city(city: str) -> str:
    ran("drop_city")
    return "gone"

@app.tool(rate="2/min")
def often() -> str:
    ran("often")
    return "again"

@app.tool(task="required")
async def export() -> str:
    ran("export")
    return "done"

@app.resource("city://{name}")
def city(name: str) -> str:
    ran("city")
    return name

@app.prompt
def describe(city: str, words: int = 10) -> str:
    ran("describe")
    return city

def office_hours(next, feature):
    if feature.name != "export":
        return next
    async def guarded(exchange):
        from bascule import ToolError
        raise ToolError("closed")
    return guarded

app.guard(office_hours, before="rate_limit")
app.run()
"""

SETTINGS = """
[policy."drop_*"]
rate = "5/min"
[policy."tool:legacy*"]
deny = true
[audit]
file = "audit.jsonl"
[approvals]
file = "approvals.db"
"""


def cities(place: Path, settings: str = SETTINGS) -> Path:
    """The folder, with the server in cities.py and its settings."""
    (place / "cities.py").write_text(CITIES)
    (place / "bascule.toml").write_text(settings)
    return place


def ran(place: Path) -> list[str]:
    """Which functions of the server have run."""
    trace = place / "ran.txt"
    return trace.read_text().split() if trace.exists() else []
