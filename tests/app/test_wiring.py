"""The settings of a stage: each is read, and all problems are listed at once."""

import pytest

from chalicelib.core.errors import UnavailableError
from chalicelib.settings import Settings

ARN = "arn:aws:sns:eu-central-1:123456789012:pulley-dev"


def problems_of(**environ: str) -> str:
    with pytest.raises(UnavailableError, match="this stage is not set up") as caught:
        Settings.from_environ({"PULLEY_STAGE": "dev"} | environ)
    return caught.value.detail


class TestSettingsFromEnviron:
    def test_stage_alone_is_enough(self) -> None:
        assert Settings.from_environ({"PULLEY_STAGE": "dev"}) == Settings(
            stage="dev", allow_sha1=False, github_api="https://api.github.com", topic_arn=""
        )

    def test_all_settings_are_read(self) -> None:
        environ = {
            "PULLEY_STAGE": "prod_2-b",
            "PULLEY_ALLOW_SHA1": "1",
            "PULLEY_GITHUB_API": "https://github.example.com/api/v3",
            "PULLEY_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:pulley-prod_2-b",
            "HOME": "/",
        }
        assert Settings.from_environ(environ) == Settings(
            "prod_2-b",
            allow_sha1=True,
            github_api="https://github.example.com/api/v3",
            topic_arn="arn:aws:sns:eu-central-1:123456789012:pulley-prod_2-b",
        )

    def test_empty_variable_means_the_default(self) -> None:
        blank = {"PULLEY_STAGE": "dev", "PULLEY_GITHUB_API": "", "PULLEY_TOPIC_ARN": ""}
        assert Settings.from_environ(blank) == Settings("dev")

    @pytest.mark.parametrize("value", ["", "0", "true", "yes", " 1"])
    def test_only_1_allows_sha1(self, value: str) -> None:
        environ = {"PULLEY_STAGE": "dev", "PULLEY_ALLOW_SHA1": value}
        assert not Settings.from_environ(environ).allow_sha1

    @pytest.mark.parametrize(
        ("api", "pages"),
        [
            ("https://api.github.com", "https://github.com"),
            ("https://api.github.com/", "https://github.com"),
            ("https://github.example.com/api/v3", "https://github.example.com"),
            ("https://gitea.example.com/api/v1/", "https://gitea.example.com"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ],
    )
    def test_pages_of_github_are_beside_its_api(self, api: str, pages: str) -> None:
        environ = {"PULLEY_STAGE": "dev", "PULLEY_GITHUB_API": api}
        assert Settings.from_environ(environ).github_pages == pages

    @pytest.mark.parametrize("stage", ["", " ", "a b", "a/b", "x" * 31, "dev\n", "é"])
    def test_stage_must_be_letters_digits_underscore_and_hyphen(self, stage: str) -> None:
        assert problems_of(PULLEY_STAGE=stage) == (
            "in .chalice/config.json: PULLEY_STAGE must be letters, digits, _ and -"
        )

    def test_missing_stage_is_a_problem(self) -> None:
        with pytest.raises(UnavailableError):
            Settings.from_environ({})

    @pytest.mark.parametrize(
        "url",
        [
            "https://api.github.com",
            "https://api.github.com/",
            "https://api.octo.ghe.com",
            "https://github.example.com:8443/api/v3",
            "https://git.example.com/api/v1",
            "https://example.com/gitea/api/v1/",
            "http://127.0.0.1:3000/api/v1",
            "http://127.0.0.1:8080",
            "http://localhost",
            "http://localhost:3000/",
        ],
    )
    def test_github_api_may_be_https_or_loopback_http(self, url: str) -> None:
        environ = {"PULLEY_STAGE": "dev", "PULLEY_GITHUB_API": url}
        assert Settings.from_environ(environ).github_api == url

    @pytest.mark.parametrize(
        "url",
        [
            "api.github.com",
            "http://api.github.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "https://user:password@github.example.com",
            "https://github.example.com/api?x=1",
            "https://github.example.com/#x",
            "https://github.example.com/a b",
            "https://",
            "https:///api/v3",
            "http://localhost:3000/other",
            "https://github.example.com\n",
            "ftp://github.example.com",
            " ",
        ],
    )
    def test_other_github_api_is_a_problem(self, url: str) -> None:
        assert problems_of(PULLEY_GITHUB_API=url) == (
            "in .chalice/config.json: "
            "PULLEY_GITHUB_API must be like https://github.example.com/api/v3, or /api/v1 for "
            "Gitea and Forgejo"
        )

    @pytest.mark.parametrize(
        "arn",
        [
            ARN,
            "arn:aws-cn:sns:cn-north-1:123456789012:pulley-dev",
            "arn:aws-us-gov:sns:us-gov-west-1:123456789012:pulley-dev",
        ],
    )
    def test_topic_arn_may_be_in_any_partition(self, arn: str) -> None:
        environ = {"PULLEY_STAGE": "dev", "PULLEY_TOPIC_ARN": arn}
        assert Settings.from_environ(environ).topic_arn == arn

    @pytest.mark.parametrize(
        "arn",
        [
            "pulley-dev",
            ARN.replace("pulley-dev", "deploys"),
            ARN.replace("pulley-dev", "pulley-prod"),
            f"{ARN}-2",
            ARN.replace(":sns:", ":sqs:"),
            f"{ARN}:6b0e71bd-7e97-4d97-80ce-4a0994e55286",
            f"{ARN}.fifo",
            ARN.replace("123456789012", ""),
            f"{ARN}\n",
            f"{ARN} ",
        ],
    )
    def test_arn_of_anything_but_the_stage_s_topic_is_a_problem(self, arn: str) -> None:
        assert problems_of(PULLEY_TOPIC_ARN=arn) == (
            "in .chalice/config.json: PULLEY_TOPIC_ARN must be the ARN of the SNS topic pulley-dev"
        )

    def test_all_problems_are_listed_at_once_without_values(self) -> None:
        detail = problems_of(
            PULLEY_STAGE="a b", PULLEY_GITHUB_API="http://u:secret@x", PULLEY_TOPIC_ARN="topic-x"
        )
        assert detail.count(";") == 2
        assert all(
            name in detail for name in ("PULLEY_STAGE", "PULLEY_GITHUB_API", "PULLEY_TOPIC_ARN")
        )
        assert "secret" not in detail
        assert "topic-x" not in detail
