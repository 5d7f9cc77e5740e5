"""For every test: properties are tried without a watch, because a busy machine is no failure."""

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
TRACER = pytest.StashKey[Coverage | None]()  # coverage.py, where coverage is asked for

# Each process that a test starts would compile our modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Lambda has the stage's variables before app.py is imported, which reads its stage there: whichever
# test comes first in a process.
with pytest.MonkeyPatch.context() as patch:
    patch.setenv("PULLEY_STAGE", "dev")
    import app  # noqa: F401

# Here coverage traces, and while the tests are collected it does not.
for module in pkgutil.walk_packages(chalicelib.__path__, "chalicelib."):
    import_module(module.name)

# moto would make thousands of images for each account, twice, and no test looks at one.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

# Half of Hypothesis's usual number; `make soak` tries a thousand.
EXAMPLES = int(os.environ.get("PULLEY_EXAMPLES", "50"))
settings.register_profile("pulley", deadline=None, max_examples=EXAMPLES)
settings.load_profile("pulley")


@pytest.fixture(scope="session", autouse=True)
def aws_s_descriptions_are_read_once() -> Iterator[None]:
    """As in a process of the operator's or Lambda's, which builds few clients. Here are thousands.

    To read what AWS says of EC2 takes a third of a second, and to make a class of it a hundredth.
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
def what_is_always_the_same_is_found_once() -> Iterator[None]:
    """Functions of their arguments alone, which botocore and moto call for each client or call.

    Together they take a sixth of the time of a test that talks to AWS.
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
        # Only a test's fake adds methods, so these are not kept; but dir() looks at no value.
        patched.setattr(moto.core.responses, "method_names_from_class", dir)
        yield


@pytest.fixture(scope="session", autouse=True)
def moto_answers_botocore_alone() -> Iterator[None]:
    """Nobody here asks AWS with requests, for which moto makes a thousand answers each time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(moto.core.models, "RESPONSES_METHODS", [])
        yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Trace the core's and the flows' own tests, which a stopped tracer would otherwise miss.

    A traced test takes twice as long. So fixtures and properties, with a hundred cases each, are
    not traced: each line is reached by an example too.
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


@pytest.hookimpl(trylast=True)  # coverage is asked for in the same hook
def pytest_sessionstart(session: pytest.Session) -> None:
    """Collecting garbage, or tracing, while modules are imported takes as long as the import.

    pytest-cov starts two tracers in each process of pytest-xdist, and reports what the last one
    saw; the one below it goes on when the last one is stopped.
    """
    gc.disable()
    session.config.stash[TRACER] = Coverage.current()
    while tracer := Coverage.current():
        tracer.stop()


def pytest_collection_finish() -> None:
    """What is here by now stays, and is large: later collections leave it out, and are fewer."""
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
    """What shares a sandbox runs in one process: to start one takes seconds.

    Groups are begun first, then the hosts' tests, which wait a lot: at the end both processes have
    something short to do.
    """
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        for name in {"shared", "used"} & set(item.fixturenames):  # by modules of a folder
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
