"""What processes do with a task where some networks get them killed; a module of its own, for it loads fast."""

import os
import signal

from madnas.search.measure import Result


def is_fatal(spec):
    return spec_width(spec) % 56 == 0


def work(task, report):
    if is_fatal(task.spec):
        os.kill(os.getpid(), signal.SIGKILL)
    return Result({"synflow": [float(spec_width(task.spec))]})


def spec_width(spec):
    return sum(group.out for group in spec.groups)
