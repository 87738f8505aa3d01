"""Settings of the whole suite: property tests try the same examples on every run and machine, at their own pace."""

import signal

from hypothesis import settings

settings.register_profile("madnas", deadline=None, derandomize=True)
settings.load_profile("madnas")

# A shell's background jobs ignore interrupts and so would their children, among which are the processes that tests
# interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
