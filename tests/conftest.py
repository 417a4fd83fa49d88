"""For all tests: how long an example takes is no property of the code (a busy machine failed one)."""

from hypothesis import settings

settings.register_profile("streamflow", deadline=None)
settings.load_profile("streamflow")
