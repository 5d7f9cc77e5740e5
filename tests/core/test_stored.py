"""The names of the parameters, on which operators rely, and how secrets are read from one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.refs import Repository
from chalicelib.core.stored import ParameterNames, read_secrets

NAMES = ParameterNames("prod")
SITE = Repository("octo", "site")


class TestParameterNames:
    @pytest.mark.parametrize(
        ("name", "promised"),
        [
            (NAMES.webhook_secret, "/pulley/prod/webhook-secret"),
            (
                NAMES.repository_webhook_secret(SITE),
                "/pulley/prod/repositories/octo/site/webhook-secret",
            ),
            (NAMES.targets(SITE), "/pulley/prod/repositories/octo/site/targets"),
            (NAMES.pin("web"), "/pulley/prod/pins/web"),
            (NAMES.document, "/pulley/prod/document"),
            (NAMES.github_token, "/pulley/prod/github-token"),
            (
                NAMES.repository_github_token(SITE),
                "/pulley/prod/repositories/octo/site/github-token",
            ),
            (NAMES.reconcile, "/pulley/prod/reconcile"),
        ],
    )
    def test_parameter_has_the_documented_name(self, name: str, promised: str) -> None:
        assert name == promised

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
