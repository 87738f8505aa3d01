"""Settings of the whole suite: property tests try the same examples on every run and machine, at their own pace."""

from hypothesis import settings

settings.register_profile("madnas", deadline=None, derandomize=True)
settings.load_profile("madnas")
