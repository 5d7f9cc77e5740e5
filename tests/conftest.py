"""For every test: properties are tried without a watch, because a busy machine is no failure."""

from hypothesis import settings

settings.register_profile("pulley", deadline=None)
settings.load_profile("pulley")
