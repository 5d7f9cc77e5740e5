"""Real git, real users, the real script: a site is an upstream repository and a host's checkout.

As root the checkout belongs to another user (nobody), as on a host; else to whoever runs the tests.
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chalicelib.core.results import HostResult, parse_result
from tests.host.busybox import applets
from tests.host.script import written_script
from tests.processes import HANG_SECONDS

SCRIPT = written_script()
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
# Tests that depend on the shell run in each shell, all others only in the first one. `make soak`
# runs all tests in each shell.
USUAL_SHELLS = SHELLS if os.environ.get("PULLEY_SHELLS") == "all" else SHELLS[:1]
EXIT_CODES = {
    "updated": 0,
    "unchanged": 0,
    "superseded": 0,
    "bad_parameter": 64,
    "no_checkout": 66,
    "unreachable": 69,
    "conflict": 70,
    "missing_commit": 71,
    "rolled_back": 72,
    "broken": 73,
    "busy": 75,
}
AS_ROOT = os.geteuid() == 0
OWNER = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid())
AS_OWNER = (
    [
        str(shutil.which("setpriv")),
        f"--reuid={OWNER.pw_uid}",
        f"--regid={OWNER.pw_gid}",
        "--clear-groups",
        "--",
    ]
    if AS_ROOT
    else []
)
COPY = ("cp", "--recursive", "--no-dereference", "--preserve=mode,ownership,timestamps,links")


@dataclass(frozen=True)
class Run:
    """One run of the script: its result, and what it wrote to stderr."""

    result: HostResult
    exit_code: int
    stderr: str

    def must_be(self, outcome: str, *reasons: str, **fields: object) -> HostResult:
        """Hold the result to its outcome, to words of its detail, and to fields; returns it."""
        assert self.result.outcome == outcome, self
        assert [words for words in reasons if words not in self.result.detail] == [], self.result
        assert {name: getattr(self.result, name) for name in fields} == fields, self.result
        return self.result


@dataclass(frozen=True)
class Site:
    """An upstream repository with a work tree, to commit in, and a checkout that follows it."""

    root: Path
    shell: str

    @property
    def upstream(self) -> Path:
        return self.root / "octo/site"

    @property
    def checkout(self) -> Path:
        return self.root / "checkout"

    @property
    def tools(self) -> Path:
        """A folder that comes first on PATH."""
        return self.root / "bin"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "GIT_AUTHOR_NAME": "Someone",
            "GIT_AUTHOR_EMAIL": "someone@example.invalid",
            "GIT_COMMITTER_NAME": "Someone",
            "GIT_COMMITTER_EMAIL": "someone@example.invalid",
            "GIT_CONFIG_NOSYSTEM": "1",
            # Otherwise each commit starts `git maintenance`, which finds nothing to do.
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "maintenance.auto",
            "GIT_CONFIG_VALUE_0": "false",
        }

    def as_owner(self, *command: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            [*AS_OWNER, *command],
            cwd=cwd or self.checkout,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout.strip()

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.as_owner("git", *arguments, cwd=cwd)

    def new_repository(self, path: Path) -> None:
        """Its branch is main; `git init -b` needs git 2.28."""
        self.git("init", "-q", str(path), cwd=self.root)
        self.git("symbolic-ref", "HEAD", "refs/heads/main", cwd=path)

    def write(self, path: str, content: str, *, where: Path | None = None) -> Path:
        """A file, as the owner would write it; executable if it begins with a shebang."""
        file = (where or self.checkout) / path
        for parent in reversed(file.relative_to(self.root).parents):
            if not (self.root / parent).exists():
                (self.root / parent).mkdir()
                own(self.root / parent)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
        own(file)
        return file

    def commit(
        self, files: Mapping[str, str | None], *, where: Path | None = None, message: str = "change"
    ) -> str:
        """Commit files (None: removed) upstream, or in another work tree. Returns the SHA."""
        tree = where or self.upstream
        gone = [path for path, content in files.items() if content is None]
        if gone:
            self.git("rm", "-qr", "--", *gone, cwd=tree)
        kept = {path: content for path, content in files.items() if content is not None}
        new = [path for path in kept if not (tree / path).is_file()]
        for path, content in kept.items():
            self.write(path, content, where=tree)
        if new:
            self.git("add", "-f", "--", *new, cwd=tree)
        old = ["--include", "--", *kept] if kept else []  # tracked: `git add` is not needed
        self.git("commit", "-q", "--allow-empty", "-m", message, *old, cwd=tree)
        return self.tip(tree)

    def tip(self, tree: Path) -> str:
        """HEAD's commit, read from the branch's file if possible, since a process takes longer."""
        head = tree / ".git/HEAD"
        if head.is_file():
            branch = tree / ".git" / head.read_text().removeprefix("ref: ").strip()
            if branch.is_file():
                return branch.read_text().strip()
        return self.git("rev-parse", "HEAD", cwd=tree)

    def head(self) -> str:
        return self.tip(self.checkout)

    def command(self, **parameters: str) -> tuple[list[str], dict[str, str]]:
        """What the agent would run: the argument vector and the environment, HOME unset."""
        values = {
            "Target": "web",
            "Repository": "octo/site",
            "Checkout": str(self.checkout),
            "Branch": "main",
        } | parameters
        environ = {f"SSM_{name}": value for name, value in values.items()}
        environ["PATH"] = f"{self.tools}:{os.environ['PATH']}"
        if self.shell == str(self.tools / "sh"):  # its tools come with the shell
            environ["PATH"] = f"{self.tools}:{applets()}:{os.environ['PATH']}"
        return [self.shell, str(SCRIPT)], environ

    def pull(
        self, *, late: int = 0, more_environ: Mapping[str, str] | None = None, **parameters: str
    ) -> Run:
        """Run the script to its end, and hold it to its contract on output and exit code.

        `late`: how many seconds of its time limit have passed when it begins.
        """
        command, environ = self.command(**parameters)
        if late:
            uptime = float(Path("/proc/uptime").read_text().split()[0])
            environ["PULLEY_STARTED"] = str(int((uptime - late) * 100))
        done = subprocess.run(
            command,
            cwd="/",
            env=environ | dict(more_environ or {}),
            capture_output=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        return held_to_contract(done)

    def tool(self, name: str, script: str) -> None:
        """Install a program that comes before this machine's on PATH."""
        self.write(name, f"#!/bin/sh\n{script}\n", where=self.tools)

    def before_git(self, script: str) -> None:
        """Run these lines before each git call of the script."""
        self.tool("git", f'{script}\nexec {shutil.which("git")} "$@"')

    def state(self) -> dict[str, str]:
        """HEAD, refs, index and every file, to see that nothing moved."""
        files = {
            str(path.relative_to(self.checkout)): path.read_bytes().hex()
            for path in sorted(self.checkout.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(self.checkout).parts
        }
        return {
            "HEAD": (self.checkout / ".git/HEAD").read_text(),
            "branches": self.git("for-each-ref", "refs/heads"),
            "status": self.git("status", "--porcelain=v2"),  # blobs and modes in the index, too
            "files": json.dumps(files),
        }

    def saved(self) -> Sequence[str]:
        return self.git("for-each-ref", "--format=%(refname)", "refs/pulley/saved").split()


def held_to_contract(done: "subprocess.CompletedProcess[bytes]") -> Run:
    """One line of JSON with the exit code that belongs to it, and nothing else on stdout."""
    stdout, stderr = done.stdout.decode("ascii"), done.stderr.decode(errors="replace")
    assert stdout.endswith("\n"), stderr
    assert stdout.count("\n") == 1, stdout
    assert len(stdout) <= 1000
    assert set(json.loads(stdout)) >= {"v", "target", "outcome", "detail", "seconds"}
    result = parse_result(stdout)
    assert done.returncode == EXIT_CODES[result.outcome], stdout + stderr
    return Run(result, done.returncode, stderr)


def run_in_own_group(site: Site, **parameters: str) -> bool:
    """Run until the end or a kill; returns whether the run succeeded."""
    command, environ = site.command(**parameters)
    run = subprocess.Popen(
        ["/bin/sh", "-c", 'export PULLEY_GROUP=$$; exec "$@"', "sh", *command],
        cwd="/",
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )
    return run.wait(HANG_SECONDS) == 0


def set_up_lfs(site: Site, where: Path) -> None:
    """The settings that `git lfs install` makes, in the repository."""
    with (where / ".git/config").open("a") as config:
        config.write(
            '[filter "lfs"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n'
            "\tprocess = git-lfs filter-process\n\trequired = true\n"
        )


def own(path: Path) -> None:
    """Give a file to the checkout's owner."""
    os.chown(path, OWNER.pw_uid, OWNER.pw_gid)


@pytest.fixture(params=USUAL_SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def first_site() -> Iterator[Site]:
    """An upstream with one commit, and a clone of it; the others are copies, which are cheaper."""
    root = new_root()
    site = Site(root, "sh")
    site.new_repository(site.upstream)
    site.commit({"app.txt": "one\n", "config.txt": "setting = 1\n"})
    site.as_owner("git", "clone", "-q", str(site.upstream), str(site.checkout), cwd=root)
    for sample in root.rglob("hooks/*.sample"):  # half of all files of each copy
        sample.unlink()
    yield site
    shutil.rmtree(root)


def new_root() -> Path:
    """A folder outside pytest's, which is closed to other users; /srv on a host is not."""
    root = Path(tempfile.mkdtemp(prefix="pulley-host-"))
    root.chmod(0o755)
    own(root)
    return root


def _make_sites(first_site: Site) -> Iterator[Callable[..., Site]]:
    roots = []

    def make(shell: str, like: Site = first_site) -> Site:
        root = new_root()
        roots.append(root)
        # As `cp -a` without extended attributes: to look for them takes as long again.
        subprocess.run([*COPY, f"{like.root}/.", root], check=True)
        site = Site(root, shell)
        git_dir = site.checkout / ".git"
        for config in (git_dir / "config", *git_dir.glob("modules/*/config")):
            config.write_text(config.read_text().replace(str(like.root), str(root)))
        site.tools.mkdir(exist_ok=True)
        if shell == "busybox":  # busybox is a shell only if it is called sh
            site = Site(root, str(site.tools / "sh"))
            Path(site.shell).symlink_to(str(shutil.which(shell)))
        return site

    yield make
    for root in roots:
        shutil.rmtree(root)


make_site = pytest.fixture(_make_sites, name="make_site")
make_shared_site = pytest.fixture(_make_sites, name="make_shared_site", scope="module")


@pytest.fixture(scope="module")
def like(first_site: Site) -> Site:
    """The site that each test's site copies. A module or class can override it."""
    return first_site


@pytest.fixture
def site(make_site: Callable[..., Site], shell: str, like: Site) -> Site:
    return make_site(shell, like)
