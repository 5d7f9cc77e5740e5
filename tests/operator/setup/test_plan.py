from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.commands import DocumentPin
from chalicelib.core.refs import Repository
from pulley.host.document import build_document
from pulley.operator.aws.document import DocumentVersion
from pulley.operator.aws.parameters import StoredValue
from pulley.operator.setup.plan import (
    Change,
    DocumentChange,
    FoundStage,
    MalformedTokenError,
    OldVersions,
    ParameterChange,
    WantedStage,
    parse_token,
    plan_setup,
)
from pulley.operator.stage.policies import Policy

NEW, OLD = build_document("echo new\n"), build_document("echo old\n")
WANTED = WantedStage("dev", content=NEW)
SECRET = StoredValue("/pulley/dev/webhook-secret", "s3cret", 1)


def version_of(
    number: int,
    content: Mapping[str, object] = NEW,
    *,
    default: int | None = None,
    latest: int | None = None,
) -> DocumentVersion:
    return DocumentVersion(
        pin=DocumentPin(str(number), f"{number:064x}"),
        kind="Command",
        status="Active",
        latest=str(latest or number),
        default=str(default or number),
        content=content,
    )


def pin_of(number: int, *, digest: str = "") -> StoredValue:
    text = f'{{"version": "{number}", "hash": "{digest or f"{number:064x}"}"}}'
    return StoredValue("/pulley/dev/document", text, 1)


def plan(wanted: WantedStage = WANTED, **found: Any) -> tuple[Change, ...]:  # noqa: ANN401
    return plan_setup(wanted, FoundStage(**{"secret": SECRET, **found}))


def right(**found: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"latest": version_of(3), "in_use": version_of(3), "pin": pin_of(3), **found}


def whats(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(one.what, one.action) for one in changes]


class TestPlanSetup:
    def test_bare_stage_gets_every_change_with_the_pin_last(self) -> None:
        changes = plan_setup(WANTED, FoundStage())
        assert whats(changes) == [
            ("webhook secret", "create"),
            ("document", "create"),
            ("document's pin", "create"),
        ]

    def test_correct_stage_gets_no_change(self) -> None:
        assert plan(**right()) == ()

    @pytest.mark.parametrize("text", ["", " \n\t\n"])
    def test_blank_secret_is_replaced(self, text: str) -> None:
        blank = StoredValue("name", text, 4)
        (change,) = plan(**right(secret=blank))
        assert isinstance(change, ParameterChange)
        assert (change.action, change.read) == ("change", blank)

    def test_policies_come_before_the_document(self) -> None:
        policy = Policy(Path("policy-x-dev.json"), "a\n", "b\n")
        changes = plan(policies=(policy,))
        assert [one.what for one in changes] == ["policy", "document", "document's pin"]
        assert changes[0].diff[-2:] == ("-a", "+b")


class TestToken:
    def test_first_token_is_stored_for_the_stage(self) -> None:
        (change,) = plan(WantedStage("dev", NEW, token="t0ken"), **right())
        assert change.name == "/pulley/dev/github-token"
        assert "t0ken" not in repr(change)

    def test_repository_s_token_is_stored_for_the_repository(self) -> None:
        wanted = WantedStage("dev", NEW, token="t0ken", repository=Repository("octo", "site"))
        (change,) = plan(wanted, **right())
        assert change.name == "/pulley/dev/repositories/octo/site/github-token"
        assert "octo/site" in change.why

    def test_same_token_causes_no_change(self) -> None:
        stored = StoredValue("name", "t0ken\n", 1)
        assert plan(WantedStage("dev", NEW, token="t0ken"), **right(token=stored)) == ()

    def test_other_token_replaces_the_stored_token(self) -> None:
        stored = StoredValue("name", "old", 1)
        (change,) = plan(WantedStage("dev", NEW, token="t0ken"), **right(token=stored))
        assert change.action == "change"

    @pytest.mark.parametrize("text", ["", " \n", "a\nb", "a b", "tök", "a\x07b", "a\x85b"])
    def test_malformed_token_is_refused_and_not_shown(self, text: str) -> None:
        with pytest.raises(MalformedTokenError) as caught:
            parse_token(text)
        assert not text.strip() or text not in str(caught.value)

    def test_line_end_is_stripped_from_the_token(self) -> None:
        assert parse_token("ghp_x\r\n") == "ghp_x"


class TestDocument:
    def test_older_content_gets_a_new_version_then_the_pin_then_old_versions_are_deleted(
        self,
    ) -> None:
        latest = version_of(3, OLD)
        changes = plan(latest=latest, in_use=latest, pin=pin_of(3))
        assert whats(changes) == [
            ("document", "change"),
            ("document's pin", "change"),
            ("old versions", "delete"),
        ]
        assert "version 4; version 3 is in use" in changes[0].why
        assert {"-echo old", "+echo new"} <= set(changes[0].diff)
        assert isinstance(changes[2], OldVersions)
        assert changes[2].than == "3"

    def test_difference_outside_the_script_is_shown(self) -> None:
        latest = version_of(1, {**NEW, "description": "Another one"})
        changes = plan(latest=latest, in_use=latest, pin=pin_of(1))
        assert '-  "description": "Another one",' in changes[0].diff
        assert whats(changes) == [("document", "change"), ("document's pin", "change")]

    def test_version_stored_by_somebody_else_is_shown_and_replaced(self) -> None:
        changes = plan(
            latest=version_of(4, OLD, default=3), in_use=version_of(3, latest=4), pin=pin_of(3)
        )
        assert "version 3 is in use, and version 4 was stored by other means" in changes[0].why
        assert "-echo old" in changes[0].diff
        assert isinstance(changes[2], OldVersions)
        assert changes[2].than == "3"

    def test_failed_version_is_made_again(self) -> None:
        failed = DocumentVersion(DocumentPin("2", "0" * 64), "Command", "Failed", "2", "2", NEW)
        assert whats(plan(latest=failed, in_use=failed))[0] == ("document", "change")

    def test_upgrade_that_stopped_before_the_default_needs_no_new_version(self) -> None:
        changes = plan(
            latest=version_of(4, default=3), in_use=version_of(3, OLD, latest=4), pin=pin_of(3)
        )
        assert whats(changes) == [("document", "change"), ("document's pin", "change")]
        assert isinstance(changes[0], DocumentChange)
        assert not changes[0].makes_version

    def test_moved_default_is_corrected_and_the_pin_stays(self) -> None:
        changes = plan(latest=version_of(4, default=3), in_use=version_of(4), pin=pin_of(4))
        assert whats(changes) == [("document", "change")]

    @pytest.mark.parametrize(
        "pin",
        [
            None,
            pin_of(2),
            pin_of(3, digest="f" * 64),
            StoredValue("name", "3", 1),
            StoredValue("name", '{"version": "3"}', 1),
        ],
    )
    def test_missing_or_wrong_pin_is_corrected(self, pin: StoredValue | None) -> None:
        changes = plan(**right(pin=pin))
        assert [one.what for one in changes] == ["document's pin"]

    def test_content_without_pulley_s_script_is_replaced(self) -> None:
        contents: list[dict[str, object]] = [
            {},
            {"mainSteps": []},
            {"mainSteps": [3]},
            {"mainSteps": [{"inputs": 3}]},
        ]
        for content in contents:
            latest = version_of(1, content)
            assert "+echo new" in plan(latest=latest, in_use=latest)[0].diff
