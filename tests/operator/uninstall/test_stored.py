"""Which parameters are Pulley's."""

import inspect

import pytest

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames
from pulley.operator.stage.stage import Stage
from pulley.operator.uninstall.stored import PARAMETERS, SECRETS, find_parameters

NAMES = ParameterNames("prod")
REPOSITORY = Repository.parse("octo/site")
ARGUMENTS = {"repository": REPOSITORY, "target": "web", "nonce": "a1b2"}
PREFIXES = {"repositories", "used_links"}
SECRET = {"webhook_secret", "repository_webhook_secret", "github_token"}
SECRET |= {"repository_github_token", "page_key"}


def every_name() -> dict[str, str]:
    """Every name that ParameterNames knows, by its attribute."""
    found = {}
    for name, member in inspect.getmembers(ParameterNames):
        if name.startswith("_") or name in PREFIXES:
            continue
        if isinstance(member, property):
            found[name] = getattr(NAMES, name)
        elif inspect.isfunction(member):
            (_, wanted) = inspect.signature(member).parameters
            found[name] = member(NAMES, ARGUMENTS[wanted])
    return found


def kinds_of(*names: str) -> dict[str, tuple[str, ...]]:
    found = find_parameters(Stage("prod", region="eu-west-1", environ={}), names)
    return {one.what: one.parts for one in found.removals} | {
        "left": tuple(one.name for one in found.left)
    }


class TestParameters:
    @pytest.mark.parametrize(("attribute", "name"), every_name().items())
    def test_every_name_that_the_app_knows_is_ours(self, attribute: str, name: str) -> None:
        what = SECRETS if attribute in SECRET else PARAMETERS
        assert kinds_of(name) == {what: (name,), "left": ()}

    def test_secrets_go_last(self) -> None:
        kinds = kinds_of(NAMES.webhook_secret, NAMES.document, NAMES.github_token, NAMES.reconcile)
        assert list(kinds) == [PARAMETERS, SECRETS, "left"]

    @pytest.mark.parametrize(
        "name",
        [
            "mine",
            "webhook-secret/x",
            "pins/web/x",
            "repositories/octo/site/notes",
            "repositories/site/targets",
            "tokens",
        ],
    )
    def test_any_other_name_is_left(self, name: str) -> None:
        name = f"/pulley/prod/{name}"
        assert kinds_of(name) == {"left": (name,)}
