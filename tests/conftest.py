"""Settings of the whole suite: property tests try the same examples on every run and machine, at their own pace."""

import os
import signal

# One thread of torch for each process, also of those that tests start: on small networks the threads of parallel test
# processes only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("madnas", deadline=None, derandomize=True)
settings.load_profile("madnas")

# A shell's background jobs ignore interrupts and so would their children, among which are the processes that tests
# interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
