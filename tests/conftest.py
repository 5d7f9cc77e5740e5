"""For every test: properties are tried without a watch, because a busy machine is no failure."""

import os

import pytest
from hypothesis import settings

# Lambda has the stage's variables before app.py is imported, which reads its stage there: whichever
# test comes first in a process.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PULLEY_STAGE", "dev")
    import app  # noqa: F401

# moto would make thousands of images for each account, twice, and no test looks at one.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

settings.register_profile("pulley", deadline=None)
settings.load_profile("pulley")


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares a sandbox runs in one process: to start one takes seconds."""
    for item in items:
        if isinstance(item, pytest.Function) and {"sandbox", "story"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))
