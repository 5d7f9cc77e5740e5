"""Settings for all tests, and shortcuts in botocore and moto that make them faster.

Hypothesis has no deadline, because tests must not fail on a busy machine.
"""

import gc
import os
import pkgutil
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import botocore.client
import botocore.hooks
import botocore.session
import botocore.useragent
import moto.core.models
import moto.core.responses
import pytest
from botocore.model import ServiceModel
from coverage import Coverage
from hypothesis import is_hypothesis_test, settings
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

import chalicelib

TESTS = Path(__file__).parent
TRACER = pytest.StashKey[Coverage | None]()  # coverage.py, if pytest measures coverage

# xdist says 80 columns, and commands would break their lines there.
os.environ.pop("COLUMNS", None)

# Otherwise each process that a test starts would compile our modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# app.py reads its stage when it is imported, so the stage must be set before the first test of a
# process imports it, as in Lambda.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PULLEY_STAGE", "dev")
    import app  # noqa: F401

# Import all modules while coverage traces: it does not trace while pytest collects the tests.
for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
    import_module(module.name)

# moto would make thousands of images for each account, twice, and no test uses them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

# Half of Hypothesis's usual number; `make soak` tries a thousand.
EXAMPLES = int(os.environ.get("PULLEY_EXAMPLES", "50"))
settings.register_profile("pulley", deadline=None, max_examples=EXAMPLES)
settings.load_profile("pulley")


@pytest.fixture(scope="session", autouse=True)
def read_aws_descriptions_once() -> Iterator[None]:
    """Share AWS's service models and client classes, because the tests build thousands of clients.

    Loading EC2's model takes a third of a second, making a class of it a hundredth. A process of
    the operator or of Lambda builds few clients.
    """
    loader = botocore.session.create_loader()
    creator: Any = botocore.client.ClientCreator  # whose stubs lack what is private
    load, make = creator._load_service_model, creator._create_client_class
    models: dict[str, ServiceModel] = {}
    classes: dict[str, type] = {}

    def load_once(
        self: botocore.client.ClientCreator, service_name: str, api_version: str | None = None
    ) -> ServiceModel:
        if service_name not in models:
            models[service_name] = load(self, service_name, api_version)
        return models[service_name]

    def make_once(
        self: botocore.client.ClientCreator, service_name: str, service_model: ServiceModel
    ) -> type:
        if service_name not in classes:
            classes[service_name] = make(self, service_name, service_model)
        return classes[service_name]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.session, "create_loader", lambda *_: loader)
        patched.setattr(creator, "_load_service_model", load_once)
        patched.setattr(creator, "_create_client_class", make_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_pure_functions() -> Iterator[None]:
    """Cache pure functions that botocore and moto call for each client or call.

    Together they take a sixth of the time of a test that calls AWS.
    """
    aliaser: Any = botocore.hooks.EventAliaser  # whose stubs lack what is private
    alias = aliaser._alias_event_name
    names = botocore.hooks.EventAliaser(botocore.hooks.HierarchicalEmitter())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            aliaser, "_alias_event_name", lambda _self, event_name: alias(names, event_name)
        )
        for place, function in (
            (botocore.useragent, "sanitize_user_agent_string_component"),
            (DomainDispatcherApplication, "get_backend_for_host"),
        ):
            patched.setattr(place, function, cache(getattr(place, function)))
        # Tests may add methods to a class, so the names are not cached; but dir() reads no values.
        patched.setattr(moto.core.responses, "method_names_from_class", dir)
        yield


@pytest.fixture(scope="session", autouse=True)
def mock_botocore_only() -> Iterator[None]:
    """Keep moto from registering a thousand answers for `requests`, which no test uses for AWS."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(moto.core.models, "RESPONSES_METHODS", [])
        yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Start the tracer only for the tests of the core and the flows.

    A traced test takes twice as long. So fixtures and Hypothesis tests are not traced. Each line
    that they reach is also reached by an ordinary test.
    """
    tracer = pyfuncitem.config.stash[TRACER]
    if tracer is None or not _is_traced(pyfuncitem):
        return (yield)
    tracer.start()
    try:
        return (yield)
    finally:
        tracer.stop()


def _is_traced(item: pytest.Function) -> bool:
    own = item.path.relative_to(TESTS).parts[0] in {"core", "flows"}
    return own and not is_hypothesis_test(item.obj)


@pytest.hookimpl(trylast=True)  # pytest-cov starts in the same hook
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop garbage collection and tracing, which would double the time of imports.

    pytest-cov starts two tracers in each process of pytest-xdist, and reports what the last one
    saw. If the last one is stopped, the first one goes on, so both are stopped.
    """
    gc.disable()
    session.config.stash[TRACER] = Coverage.current()
    while tracer := Coverage.current():
        tracer.stop()


def pytest_collection_finish() -> None:
    """Exclude all objects up to now from garbage collection, and collect less often."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Collect garbage once, to see what a finalizer raises. pytest collects five times more."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests that share a sandbox in one process, because a sandbox takes seconds to start.

    These groups start first, then the hosts' tests, which wait a lot. So at the end all processes
    have short tests left.
    """
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        # These two fixtures are shared by the modules of a folder.
        for name in {"shared", "used"} & set(item.fixturenames):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}.{name}"))
            break
        else:
            if {"sandbox", "story"} & set(item.fixturenames):
                item.add_marker(pytest.mark.xdist_group(item.module.__name__))
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("xdist_group"):
        return 0
    return 1 if "host" in item.path.relative_to(TESTS).parts else 2
