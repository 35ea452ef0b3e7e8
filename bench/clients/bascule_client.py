"""Bascule's client; what it measures: see measuring.py."""

import measuring

from bascule import Client

measuring.main(lambda target, era: Client(target, era=era), "bascule_server", "app")
