"""Sample weather for `--offline`: the same for every city each time, and said to be a sample wherever it stands."""

from datetime import date, timedelta
from zlib import crc32

from bascule.servers.weather.forecast import Day, Report

NAME = "sample data shipped with Bascule; this is not the weather"
_SKIES = ("Sunny", "Partly cloudy", "Overcast", "Light rain", "Windy")


class Sample:
    """The source that asks nobody. Its days begin on `first`, which is long gone."""

    first = date(2020, 6, 1)

    async def report(self, city: str) -> Report:
        """Weather made of the city's name."""
        seed = crc32(city.casefold().encode())
        warm = 8 + seed % 17
        days = [
            Day(
                (self.first + timedelta(days=day)).isoformat(),
                float(warm + 3 + (seed >> day) % 4),
                float(warm - 5 + (seed >> day) % 3),
                _SKIES[(seed + day) % len(_SKIES)],
            )
            for day in range(3)
        ]
        return Report(city, float(warm), _SKIES[seed % len(_SKIES)], 40.0 + seed % 50, 5.0 + seed % 25, days)
