"""The weather server: current conditions and a forecast for a city, from wttr.in or Open-Meteo.

`server.build()` makes it. A service that is down is told as such; offline, every answer says that it is a sample.
"""
