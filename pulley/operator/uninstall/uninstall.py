"""Uninstall a stage: what goes in which order, and what is left after that.

The order: first what begins a deployment (webhooks, launch hooks, the schedule), then another look
for deployments that began meanwhile, then the app, the document and the parameters, the secrets
last. So if a run fails, the next run finds what it needs, and goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from chalicelib.core.errors import UnavailableError
from chalicelib.core.stored import every_target
from pulley.operator.stage.stage import Stage, utc_now
from pulley.operator.uninstall.app import App, foreign_functions, function_names
from pulley.operator.uninstall.clients import Clients
from pulley.operator.uninstall.found import Found, Removal, joined
from pulley.operator.uninstall.in_iam import find_in_iam
from pulley.operator.uninstall.launch_hooks import find_launch_hooks
from pulley.operator.uninstall.on_hosts import OnHosts, on_hosts
from pulley.operator.uninstall.record import find_record
from pulley.operator.uninstall.stack import find_stack, removal_of
from pulley.operator.uninstall.stored import find_document, find_parameters, names_of
from pulley.operator.uninstall.under_way import deployments_under_way, pins_in_force
from pulley.operator.uninstall.webhooks import api_of, find_webhooks, repositories_in


@dataclass(frozen=True)
class Look:
    """What there is of a stage.

    `holding` says what the uninstall would cut in the middle, `pins` what it forgets, `problems`
    why some targets have no entry in `hosts`.
    """

    found: Found
    holding: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    hosts: tuple[OnHosts, ...] = ()
    problems: tuple[str, ...] = ()


class Uninstall:
    """Looks at a stage, and removes it. Every method raises RefusedError and UnavailableError."""

    def __init__(self, stage: Stage, *, url: str, project: Path | None) -> None:
        """`url` is the webhook's, if somebody gave it, or "".

        `project` is the clone that has Chalice's record.
        """
        self._stage = stage
        self._url = url
        self._project = project

    def look(self) -> Look:
        """Look at everything. Nothing is changed."""
        stage, now = self._stage, utc_now()
        names = names_of(stage)
        targets, problems = every_target(stage.stored.every_repository() if names else {})
        launch_hooks, held = find_launch_hooks(stage.auto_scaling, stage.name)
        app, api_ids, elsewhere = self._find_app()
        document = find_document(stage) if stage.document not in elsewhere else Found()
        repositories = repositories_in(names, stage.names.repositories)
        found = joined(
            [
                find_webhooks(stage, repositories, url=self._url_of(api_ids), api_ids=api_ids),
                launch_hooks,
                app,
                document,
                self._find_record(),
                find_parameters(stage, names),
            ]
        )
        return Look(
            found=Found(_in_order(found.removals), found.left),
            holding=(*deployments_under_way(stage, now=now), *held),
            pins=pins_in_force(stage, names, now=now),
            hosts=tuple(on_hosts(targets, stage.name)),
            problems=problems,
        )

    def check_nothing_began(self) -> None:
        """Raise UnavailableError if a deployment is under way after all."""
        began = deployments_under_way(self._stage, now=utc_now())
        if began:
            raise UnavailableError(
                "a deployment began meanwhile, and the rest waits for its end",
                detail=f"{'; '.join(began)}. No other one can begin now: run this again when it "
                "has ended",
            )

    def other_stages(self) -> Sequence[str]:
        """The names of the account's other stages in this region."""
        names = self._stage.parameters.names_below("/pulley")
        return sorted({one.split("/")[2] for one in names} - {self._stage.name})

    @cached_property
    def _clients(self) -> Clients:
        return Clients()

    def _find_app(self) -> tuple[Found, Sequence[str], frozenset[str]]:
        """The app; the ids of the APIs that are its alone; and what a stack has.

        Nothing else may remove what a stack has.
        """
        stage, clients = self._stage, self._clients
        stack = find_stack(clients, function_names(stage.name), stage.document)
        elsewhere = stack.ids if stack else frozenset()
        who = stage.identity
        prefix = f"arn:{who.partition}:lambda:{stage.region}:{who.account}:function:"
        foreign = foreign_functions(clients, stage.name)
        app = App(clients, stage.name, prefix, elsewhere, foreign)
        api_ids = app.api_ids()
        in_iam = find_in_iam(
            clients,
            stage.ec2,
            stage.name,
            region=stage.region,
            elsewhere=elsewhere,
            foreign=foreign,
        )
        found = [
            *([removal_of(clients, stack, foreign)] if stack else []),
            app.find(api_ids),
            in_iam,
            app.find_logs(),
        ]
        own = [one for one in api_ids if not app.others_at(one)]
        return joined(found), own, elsewhere

    def _url_of(self, api_ids: Sequence[str]) -> str:
        """The webhook's URL: the one that was given, else the one that is known here; or "".

        What is known here (Chalice's record, the environment) may be of a stage of the same name in
        another account or region. So it must be none of API Gateway, or one of the stage's APIs.
        """
        known = self._stage.webhook_url
        is_another = api_of(known) not in {"", *api_ids}
        return self._url or ("" if is_another else known)

    def _find_record(self) -> Found:
        account, region = self._stage.identity.account, self._stage.region
        return find_record(self._project, self._stage.name, account=account, region=region)


def _in_order(removals: Sequence[Removal]) -> tuple[Removal, ...]:
    """What begins deployments goes first. Else they stay in the order in which they were found."""
    return tuple(sorted(removals, key=lambda one: not one.stops_deploys))
