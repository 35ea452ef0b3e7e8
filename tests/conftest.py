"""Settings for all tests: Hypothesis judges what is tested, and not how busy the machine is; and Ctrl-C reaches the
programs under test, also where the tests run in the background of a shell, whose children ignore it."""

import signal

from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("bascule", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bascule")
