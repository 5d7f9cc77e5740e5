"""A site whose upstream has commits after the deployed one, and these commits."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.host.conftest import Site

BUILD = "deploy/build"


@dataclass(frozen=True)
class Commits:
    """The upstream's commits, oldest first. The first one is deployed as the branch's tip."""

    first: str
    second: str
    third: str
    tip: str


def site_with_commits(make_shared_site: Callable[[str], Site]) -> Site:
    """A site with three commits after the deployed one; each run of the step writes a line."""
    site = make_shared_site("sh")
    build = "#!/bin/sh\ngit rev-parse HEAD >>commits.built\n"
    site.commit({BUILD: build, ".gitignore": "*.built\n"})
    site.pull(AfterPull=BUILD)
    for text in ("two\n", "three\n", "four\n"):
        site.commit({"app.txt": text})
    return site


def commits_of(site: Site) -> Commits:
    """The commits of a copy of that site."""
    newest_first = site.git("rev-list", "-n", "4", "main", cwd=site.upstream).split()
    return Commits(*reversed(newest_first))


def built(site: Site) -> list[str]:
    """The commits at which the step ran."""
    return (site.checkout / "commits.built").read_text().split()
