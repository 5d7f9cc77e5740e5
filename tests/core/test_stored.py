"""The names of the parameters, on which operators rely, and how secrets are read from one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.commands import DocumentPin
from chalicelib.core.errors import UnavailableError
from chalicelib.core.pins import Pin
from chalicelib.core.refs import Repository
from chalicelib.core.stored import (
    ParameterNames,
    SigningSecret,
    StoredPins,
    StoredReportSettings,
    StoredSettings,
    document_pin_of,
    every_target,
    pin_of,
    read_secrets,
    signing_secret,
    targets_of,
)
from chalicelib.core.targets import parse_target
from chalicelib.core.webhook import SignatureError
from tests.fakes import delivery_of, target_json, targets_text

NAMES = ParameterNames("prod")
SITE = Repository("octo", "site")


class TestParameterNames:
    @pytest.mark.parametrize(
        ("name", "promised"),
        [
            (
                NAMES.repository_webhook_secret(SITE),
                "/pulley/prod/repositories/octo/site/webhook-secret",
            ),
            (NAMES.targets(SITE), "/pulley/prod/repositories/octo/site/targets"),
            (
                NAMES.repository_github_token(SITE),
                "/pulley/prod/repositories/octo/site/github-token",
            ),
        ],
    )
    def test_parameter_has_the_documented_name(self, name: str, promised: str) -> None:
        assert name == promised

    def test_parameters_of_the_stage_have_the_documented_names(self) -> None:
        assert NAMES.webhook_secret == "/pulley/prod/webhook-secret"
        assert NAMES.repositories == "/pulley/prod/repositories/"
        assert NAMES.document == "/pulley/prod/document"
        assert NAMES.github_token == "/pulley/prod/github-token"
        assert NAMES.reconcile == "/pulley/prod/reconcile"

    def test_parameters_of_the_page_have_the_documented_names(self) -> None:
        assert NAMES.page_key == "/pulley/prod/page-key"
        assert NAMES.page_url == "/pulley/prod/page-url"
        assert NAMES.used_link("N") == f"{NAMES.used_links}/N" == "/pulley/prod/page-links/N"

    def test_pin_has_its_target_s_name(self) -> None:
        assert NAMES.pin("web") == "/pulley/prod/pins/web"

    def test_parameters_of_a_repository_share_a_prefix(self) -> None:
        for name in (
            NAMES.targets(SITE),
            NAMES.repository_webhook_secret(SITE),
            NAMES.repository_github_token(SITE),
        ):
            assert name.startswith(NAMES.repositories)
            assert name.removeprefix(NAMES.repositories).startswith("octo/site/")

    def test_repository_is_in_lower_case(self) -> None:
        assert NAMES.targets(Repository.parse("Octo/Site")) == NAMES.targets(SITE)


class TestReadSecrets:
    def test_secrets_are_read_one_per_line_in_order(self) -> None:
        assert read_secrets("new\nold") == (b"new", b"old")

    def test_white_space_around_a_secret_is_removed(self) -> None:
        assert read_secrets("  new \r\n\told\n") == (b"new", b"old")

    def test_white_space_inside_a_secret_is_kept(self) -> None:
        assert read_secrets("It's a Secret to Everybody") == (b"It's a Secret to Everybody",)

    @pytest.mark.parametrize("text", ["", "\n", " \n\t\n  "])
    def test_blank_lines_are_no_secrets(self, text: str) -> None:
        assert read_secrets(text) == ()

    def test_secret_outside_ascii_is_encoded_as_utf_8(self) -> None:
        assert read_secrets("gehäim") == ("gehäim".encode(),)

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_no_secret_is_ever_empty(self, text: str) -> None:
        assert b"" not in read_secrets(text)


class TestSigningSecret:
    PARAMETER = "/pulley/prod/webhook-secret"

    def signed(self, *secrets: bytes) -> SigningSecret:
        settings = StoredSettings(secrets, self.PARAMETER)
        return signing_secret(settings, delivery_of({}, secret="new"), allow_sha1=False)

    @pytest.mark.parametrize(
        ("secrets", "position", "words"),
        [
            ((b"new", b"old"), 0, "signed with the newest secret of prod/webhook-secret"),
            ((b"newer", b"new"), 1, "signed with an older secret of prod/webhook-secret"),
        ],
    )
    def test_secret_is_named_by_its_parameter_and_position(
        self, secrets: tuple[bytes, ...], position: int, words: str
    ) -> None:
        found = self.signed(*secrets)
        assert found == SigningSecret(self.PARAMETER, position)
        assert (found.place, str(found)) == ("prod/webhook-secret", words)

    def test_other_secret_is_an_error_of_the_delivery(self) -> None:
        with pytest.raises(SignatureError):
            self.signed(b"old")

    def test_missing_secret_is_an_error_whose_detail_says_where_to_put_it(self) -> None:
        with pytest.raises(UnavailableError, match="no webhook secret is stored") as raised:
            self.signed()
        assert raised.value.detail.endswith(f": put one into {self.PARAMETER}")


class TestStoredPins:
    WEB = parse_target("targets.web", target_json())

    def test_target_without_a_stored_pin_has_none(self) -> None:
        stored = StoredPins({"api": '{"state": "frozen"}'})
        assert pin_of(self.WEB, stored) is None
        assert document_pin_of(stored) is None

    def test_stored_pins_are_read(self) -> None:
        document = f'{{"version": 7, "hash": "{"a" * 64}"}}'
        stored = StoredPins({"web": '{"state": "frozen"}'}, document)
        assert pin_of(self.WEB, stored) == Pin("frozen")
        assert document_pin_of(stored) == DocumentPin("7", "a" * 64)

    def test_invalid_pin_is_unavailable_and_the_log_has_its_parameter(self) -> None:
        with pytest.raises(
            UnavailableError, match=r"^the target's stored pin is not valid$"
        ) as web:
            pin_of(self.WEB, StoredPins({"web": "frozen"}))
        assert web.value.detail.startswith("the parameter pins/web is not valid: ")
        with pytest.raises(UnavailableError, match="the document's stored pin") as document:
            document_pin_of(StoredPins({}, "7"))
        assert document.value.detail.startswith("the parameter document is not valid: ")


class TestTargetsOf:
    def stored(self, targets: str | None) -> StoredSettings:
        return StoredSettings((), "/pulley/prod/webhook-secret", targets)

    def test_repository_without_stored_targets_has_none(self) -> None:
        assert targets_of(SITE, self.stored(None)) == ()

    def test_stored_targets_are_read(self) -> None:
        assert [one.name for one in targets_of(SITE, self.stored(targets_text()))] == ["web"]

    def test_invalid_targets_are_unavailable_and_the_log_has_every_problem(self) -> None:
        text = targets_text(target_json(timeout=1, update="merge"))
        with pytest.raises(UnavailableError, match="stored targets are not valid") as raised:
            targets_of(SITE, self.stored(text))
        assert raised.value.detail.startswith("the stored targets of octo/site are not valid: ")
        assert "targets.web.timeout: " in raised.value.detail
        assert "targets.web.update: " in raised.value.detail


class TestEveryTarget:
    def test_valid_targets_are_sorted_and_the_others_are_told(self) -> None:
        other = Repository("octo", "api")
        settings = {
            SITE: StoredReportSettings("", targets_text(target_json("web"), target_json("a"))),
            other: StoredReportSettings("", "[{}]"),
            Repository("octo", "none"): StoredReportSettings(),
        }
        targets, problems = every_target(settings)
        assert [one.name for one in targets] == ["a", "web"]
        assert problems
        assert all(one.startswith("octo/api: targets[0]") for one in problems)
