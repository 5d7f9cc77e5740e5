"""A stage's settings, from the environment of its functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.errors import UnavailableError

CONFIG = ".chalice/config.json"
STAGE_NAME = re.compile("[A-Za-z0-9_-]{1,30}")
_API_URL = re.compile(
    r"https://[^\s/?#@]+(/[^\s?#]*)?|http://(127\.0\.0\.1|localhost)(:\d+)?(/api/v[13])?/?"
)


@dataclass(frozen=True)
class Settings:
    """A stage's settings, valid."""

    stage: str
    allow_sha1: bool = False
    github_api: str = "https://api.github.com"
    topic_arn: str = ""

    @property
    def github_pages(self) -> str:
        """The address of the pages of GitHub, or of the server that has this API."""
        if self.github_api.rstrip("/") == "https://api.github.com":
            return "https://github.com"
        return re.sub("(/api/v[13])?/?$", "", self.github_api)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, place: str = CONFIG) -> "Settings":
        """Read variables set at `place`. Raises UnavailableError with every problem at once."""
        settings = cls(
            stage=environ.get("PULLEY_STAGE", ""),
            allow_sha1=environ.get("PULLEY_ALLOW_SHA1") == "1",
            github_api=environ.get("PULLEY_GITHUB_API") or cls.github_api,
            topic_arn=environ.get("PULLEY_TOPIC_ARN", ""),
        )
        problems = []
        if not STAGE_NAME.fullmatch(settings.stage):
            problems.append("PULLEY_STAGE must be letters, digits, _ and -")
        if not _API_URL.fullmatch(settings.github_api):
            problems.append(
                "PULLEY_GITHUB_API must be like https://github.example.com/api/v3, "
                "or /api/v1 for Gitea and Forgejo"
            )
        topic = f"pulley-{settings.stage}"  # the only one that the role may publish to
        is_topic = re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(.*)", settings.topic_arn)
        if settings.topic_arn and (not is_topic or is_topic[1] != topic):
            problems.append(f"PULLEY_TOPIC_ARN must be the ARN of the SNS topic {topic}")
        if problems:
            raise UnavailableError(
                "this stage is not set up",
                detail=f"in {place}: {'; '.join(problems)}",
            )
        return settings
