import os

from hypothesis import settings

# The same examples on every run in a continuous build; fresh ones at a developer's desk.
settings.register_profile("minigrad", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minigrad")
