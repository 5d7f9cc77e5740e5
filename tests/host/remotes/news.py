"""A large commit upstream, and a host that has it."""

from tests.host.conftest import Site
from tests.host.remotes.processes import left_by_runs


def commit_large(site: Site, size: int) -> str:
    """A commit of a random file of so many bytes, which no pack makes smaller."""
    site.as_owner("sh", "-c", f"head -c {size} /dev/urandom >big", cwd=site.upstream)
    site.git("add", "big", cwd=site.upstream)
    return site.commit({"app.txt": "two\n"})


def assert_updated(site: Site, commit: str) -> None:
    """A run brings the host to the whole commit and leaves no process."""
    site.pull().must_be("updated", after=commit)
    assert (site.checkout / "big").read_bytes() == (site.upstream / "big").read_bytes()
    assert not left_by_runs(site)
