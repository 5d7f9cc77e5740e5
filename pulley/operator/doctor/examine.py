"""Check the whole chain, link by link, from the secret to the last host."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from chalicelib.core.errors import PulleyError
from chalicelib.core.hosts import Fleet
from chalicelib.core.refs import Repository
from chalicelib.core.targets import Target
from chalicelib.status.overview import Standing
from pulley.operator.aws.document import Documents
from pulley.operator.deploy.issue_time import milliseconds
from pulley.operator.deploy.send import SilentJournal
from pulley.operator.doctor.checkout_state import check_hold, place_of
from pulley.operator.doctor.document import check_document
from pulley.operator.doctor.functions import Clients, Functions, check_address
from pulley.operator.doctor.host_roles import HostRoles
from pulley.operator.doctor.hosts import (
    check_hosts,
    check_invocation,
    no_answer,
    not_asked,
)
from pulley.operator.doctor.launches import check_launches
from pulley.operator.doctor.nodes import Node, find_untagged, read_nodes
from pulley.operator.doctor.people import check_people
from pulley.operator.doctor.row import FAIL, PASS, Check, Row, passed, rows_of
from pulley.operator.doctor.stored import Stored, overlap_rows
from pulley.operator.doctor.token import TokenCheck
from pulley.operator.doctor.waiting import check_waiting
from pulley.operator.doctor.webhook import WebhookCheck
from pulley.operator.hosts.ask import Checker
from pulley.operator.launches.groups import Groups
from pulley.operator.stage.endpoint import AWS, EndedError, check_endpoint, check_environment
from pulley.operator.stage.existing import NoStageError
from pulley.operator.stage.stage import Identity, Stage, StoredTargets, read_targets
from pulley.operator.status.look import look_at
from pulley.operator.suggest import suggest
from pulley.operator.targets.overlaps import overlaps_on_hosts
from pulley.operator.webhook.connect import BY_HAND, github_host, secret_since, webhooks_of
from pulley.project import find_project


@dataclass(frozen=True)
class Doctor:
    """Examines a stage. Nothing is changed: the hosts get a check, which only looks."""

    stage: Stage
    now: Callable[[], datetime]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def examine(self) -> Iterator[Row]:
        """Yield each row as it is found. If AWS cannot be asked at all, there are one or two."""
        try:
            identity = self.stage.identity
            yield passed("AWS", f"account {identity.account}, as {identity.name}")
            targets = self._targets()
        except PulleyError as error:
            yield self._cannot_ask(error)
            return
        if isinstance(targets, Row):
            yield targets
            targets = StoredTargets((), (), {})
        stored = Stored(self.stage.parameters, self.stage.names, targets)
        yield from self._rows("webhook secret", stored.check_secrets)
        documents = Documents(self.stage.ssm, self.stage.document)
        pin = self.stage.names.document
        yield from self._rows(
            "document",
            lambda: check_document(documents, self.stage.parameters, pin, find_project()),
        )
        yield from self._rows("targets", stored.check_targets)
        yield from self._rows("pins", lambda: stored.check_pins(now=self.now()))
        yield from self._rows("Lambda", lambda: self._functions(identity.account).check())
        stage, url = self.stage, self.stage.webhook_url
        address = partial(check_address, url, self.stage.name)
        yield from self._rows("the webhook's address", address, url)
        yield from self._github(stored, url)
        roles = partial(self._check_roles, identity, targets)
        yield from self._rows("hosts' roles", roles)
        yield from self._rows("policies for people", lambda: check_people(stage.iam, stage.scope))
        yield from self._rows("hosts", lambda: self._hosts(targets))

    def _targets(self) -> StoredTargets | Row:
        """The stored targets; or the row for a stage that does not exist."""
        try:
            return read_targets(self.stage)
        except NoStageError as error:
            return Row("stage", FAIL, str(error), f"see --stage; or {suggest('setup')}")

    def _cannot_ask(self, error: PulleyError) -> Row:
        """The row for an AWS that cannot be asked at all."""
        try:
            check_environment(self.stage.environ)
        except EndedError as ended:
            words = str(error) if isinstance(error, EndedError) else error.in_full
            return Row("AWS", FAIL, words, ended.detail)
        hint = "see that --profile (or AWS_PROFILE) and --region are the stage's"
        return Row("AWS", FAIL, error.in_full, hint)

    def _rows(self, what: str, check: Check, url: str | None = None) -> list[Row]:
        """Collect the rows of a check that asks the server at `url`; without a `url`, AWS.

        If a sandbox had this address and has ended, the row says so.
        """
        asked = self.stage.environ.get(AWS, "") if url is None else url

        def rows() -> Iterator[Row]:
            check_endpoint(asked)
            try:
                yield from check()
            except PulleyError:
                check_endpoint(asked)  # a sandbox may end meanwhile
                raise

        return rows_of(what, rows)

    def _functions(self, account: str) -> Functions:
        found = find_project()
        policies = found and found / ".chalice"
        return Functions(Clients.build(), self.stage.name, account, policies)

    def _check_roles(self, identity: Identity, targets: StoredTargets) -> Iterator[Row]:
        roles = self._host_roles(identity)
        yield from roles.check()
        for target in targets.targets:
            yield from roles.check_drain(target)

    def _host_roles(self, identity: Identity) -> HostRoles:
        stage = self.stage
        parameters = f"arn:{identity.partition}:ssm:{stage.region}:{identity.account}:parameter"
        secrets = stage.parameters.secrets_below(f"/pulley/{stage.name}")
        return HostRoles(stage.ec2, Clients.build().roles, stage.names, secrets, parameters)

    def _github(self, stored: Stored, url: str) -> Iterator[Row]:
        """Check the token that Lambda uses for each repository, and each repository's webhook."""
        api = self.stage.settings.github_api
        yield from self._rows("GitHub token", stored.check_tokens)
        for repository, token in stored.targets.tokens.items():
            targets = [one for one in stored.targets.targets if one.repository == repository]
            look = partial(self._check_token, repository, token, targets)
            yield from self._rows(f"GitHub token, {repository}", look, api)
            look = partial(self._check_webhook, repository, url)
            yield from self._rows(f"webhook of {repository}", look, api)

    def _check_token(
        self, repository: Repository, token: str, targets: Sequence[Target]
    ) -> Iterator[Row]:
        if not token:
            return
        stage = self.stage
        own = stage.names.repository_github_token(repository)
        is_own = stage.parameters.read_one(own) is not None
        check = TokenCheck(stage.settings.github_api, repository, token, targets, is_own)
        yield from check.check(now=self.now())

    def _check_webhook(self, repository: Repository, url: str) -> Iterator[Row]:
        stage = self.stage
        if not stage.has_deployments:
            words = f"{BY_HAND}: its page there shows its deliveries"
            yield Row(f"webhook of {repository}", PASS, words)
            return
        webhooks = webhooks_of(stage, repository)
        if webhooks is None or not url:
            return
        check = WebhookCheck(repository, url, stage.name, secret_since(stage, repository))
        deliveries = stage.github(repository, stage.token_for(repository))
        yield from check.check(webhooks, deliveries, now=self.now())

    def _hosts(self, targets: StoredTargets) -> Iterator[Row]:
        stage = self.stage
        fleet = Fleet(stage.directory.hosts(), stage.name)
        nodes = read_nodes(stage.ssm)
        untagged = {one.name: find_untagged(stage.ec2, one, stage.name) for one in targets.targets}
        yield from overlap_rows(overlaps_on_hosts(targets.targets, (), fleet))
        groups = Groups(stage.auto_scaling, stage.name)
        check = partial(check_launches, groups, targets.targets, fleet)
        yield from self._rows("Auto Scaling groups", check)
        told: set[str] = set()
        for target in targets.targets:
            for row in check_hosts(target, fleet, nodes, untagged[target.name], stage.name):
                if row.what not in told or not row.what.startswith("host "):
                    yield row
                told.add(row.what)
        # Ask all at once, so that we wait only for the slowest host.
        yield from self._rows("hosts, asked", lambda: self._ask(targets, fleet, nodes))

    def _ask(
        self, targets: StoredTargets, fleet: Fleet, nodes: Mapping[str, Node]
    ) -> Iterator[Row]:
        """Check every host, and compare it with what is wanted of it."""
        stage = self.stage
        hosts = {
            target: [one for one in fleet.of(target) if one.instance_id in nodes]
            for target in targets.targets
        }
        # Hosts do not compare the issue times of checks, which change nothing.
        issued = milliseconds(self.now())
        answers = Checker(stage, self.clock, self.sleep).ask(hosts, issued=issued)
        for target, error in answers.refused:
            yield not_asked(target, error)
        standings = self._standings(targets) if answers.by_target else ()
        places = {
            (one.target.name, host.host.instance_id): place_of(one, host)
            for one in standings
            for host in one.hosts
        }
        for standing in standings:
            yield from check_hold(standing)
            yield from self._rows("checks", partial(self._waiting, standing))
        for target, host, answer in answers.by_target:
            if answer is None:
                yield no_answer(target, host)
                continue
            place = places.get((target.name, host.instance_id))
            yield from check_invocation(target, answer, place, github=github_host(stage))

    def _waiting(self, standing: Standing) -> Iterator[Row]:
        repository = standing.target.repository
        github = self.stage.github(repository, self.stage.token_for(repository))
        return check_waiting(standing, github.committed_at, now=self.now())

    def _standings(self, targets: StoredTargets) -> Sequence[Standing]:
        """Read how the targets stand after the hosts' answers."""
        seen = look_at(
            self.stage,
            targets,
            targets.targets,
            find_here=lambda: None,
            journal=SilentJournal(),
            now=self.now(),
        )
        return seen.standings
