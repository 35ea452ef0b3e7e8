"""Settings for all tests: Hypothesis judges what is tested, and not how busy the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("bascule", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bascule")
