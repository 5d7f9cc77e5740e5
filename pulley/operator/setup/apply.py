"""Set a stage up: read what it has, and apply the changes of a plan.

A second run changes nothing. After an interrupted run, it continues.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.commands import DocumentPinError, parse_document_pin
from chalicelib.core.errors import RefusedError, UnavailableError
from pulley.host.build import build
from pulley.host.document import build_document
from pulley.operator.aws.document import Documents, DocumentVersion
from pulley.operator.aws.parameters import StoredValue, Written
from pulley.operator.people.managed import ManagedPolicies
from pulley.operator.setup.plan import (
    SECRET,
    TOKEN,
    Change,
    DocumentChange,
    FoundStage,
    OldVersions,
    ParameterChange,
    PeopleChange,
    PolicyChange,
    WantedStage,
    plan_setup,
)
from pulley.operator.stage.new_secret import new_secret
from pulley.operator.stage.policies import read_policies, write_policy
from pulley.operator.stage.stage import Stage


@dataclass(frozen=True)
class Done:
    """A change that was applied, in words. `written` is set if it was a parameter."""

    change: Change
    words: str
    written: Written | None = None


def build_own_document() -> dict[str, object]:
    """The document that is built from this command's script."""
    return build_document(build())


class Setup:
    """Reads a stage, and changes it. Every method raises RefusedError or UnavailableError."""

    def __init__(self, stage: Stage, wanted: WantedStage) -> None:
        """`wanted` must be of the same stage."""
        self._stage = stage
        self._wanted = wanted
        self._documents = Documents(stage.ssm, stage.document)

    def plan(self) -> tuple[Change, ...]:
        """Plan what the stage needs now. Raises PoliciesError, too."""
        return plan_setup(self._wanted, self._find())

    def apply(self, change: Change) -> Done:
        """Apply one change of the plan. The caller applies them in the plan's order."""
        match change:
            case ParameterChange():
                written = self._stage.parameters.write(
                    change.name,
                    self._value_of(change),
                    read=change.read,
                    is_secret=change.is_secret,
                )
                return Done(change, f"stored as version {written.version}", written)
            case PolicyChange():
                write_policy(change.policy)
                return Done(change, f"has the account {self._stage.identity.account}")
            case DocumentChange():
                stored = self._store_document(change)
                return Done(change, f"version {stored.version} is the default")
            case OldVersions():
                deleted = self._documents.delete_older(change.than)
                return Done(change, f"{', '.join(deleted) or 'none'} deleted")
            case PeopleChange(policy=policy):
                policies = ManagedPolicies(self._stage.iam)
                if change.action == "create":
                    policies.create(policy.arn, policy.content, policy.words)
                else:
                    policies.update(policy.arn, policy.content)
                return Done(change, f"attach {policy.arn} to whom it is for")
        raise TypeError(change)

    def _find(self) -> FoundStage:
        wanted = self._wanted
        secret, pin, token = wanted.names.webhook_secret, wanted.names.document, wanted.token_name
        stored = self._stage.parameters.read(secret, pin, *([token] if wanted.token else []))
        latest = self._documents.read()
        if latest and latest.kind != "Command":
            raise RefusedError(
                f"{self._documents.name} is a document of the type {latest.kind}, and not "
                "Pulley's: delete it, or take another name for the stage"
            )
        return FoundStage(
            secret=stored.get(secret),
            token=stored.get(token),
            policies=read_policies(wanted.chalice, wanted.stage, self._stage.identity.account)
            if wanted.chalice
            else (),
            latest=latest,
            in_use=latest and self._in_use(latest, stored.get(pin)),
            pin=stored.get(pin),
            people=self._find_people(),
        )

    def _find_people(self) -> Mapping[str, Mapping[str, object]]:
        if not self._wanted.people:
            return {}
        policies = ManagedPolicies(self._stage.iam)
        found = {one.arn: policies.read(one.arn) for one in self._wanted.people}
        return {arn: content for arn, content in found.items() if content is not None}

    def _in_use(self, latest: DocumentVersion, pin: StoredValue | None) -> DocumentVersion | None:
        version = latest.default
        if pin:
            try:
                version = parse_document_pin(pin.value).version
            except DocumentPinError:
                return None
        return latest if version == latest.version else self._documents.read(version)

    def _value_of(self, change: ParameterChange) -> str:
        if change.what == SECRET:
            return new_secret()
        return self._wanted.token if change.what == TOKEN else self._pin()

    def _store_document(self, change: DocumentChange) -> DocumentVersion:
        stored = change.latest
        if stored is None:
            return self._documents.create(self._wanted.content)
        if change.makes_version:
            stored = self._documents.update(self._wanted.content)
        self._documents.make_default(stored.version)
        return stored

    def _pin(self) -> str:
        """The pin to store. Read the document again: somebody else may have changed it."""
        latest = self._documents.read()
        if latest is None or latest.content != self._wanted.content:
            raise UnavailableError(
                f"{self._documents.name} was changed by somebody else just now: run this again"
            )
        return json.dumps({"version": latest.pin.version, "hash": latest.pin.hash})
