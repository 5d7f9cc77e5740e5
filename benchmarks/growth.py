"""How long GitHub waits for its answer, by the size of the push.

The same delivery is posted over loopback HTTP to the tutorial's service, which pulls before it
answers, and to Pulley under `chalice local`, which answers as soon as Run Command has the command.
GitHub's body for one commit has the same length for small and large commits. A push is one commit
of files of 10 MB that cannot be compressed, in a bare repository on this disk. So the tutorial's
figures leave out the network, which a pull from GitHub would add for each MB. Pulley's figures
leave out AWS's own time: an emulation on loopback answers instead. Hosts pull after the answer;
there are none here, and `host` and `fleet` measure that. The tutorial's service begins each time
with a new copy of its checkout, which is not timed.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import urllib3
from git import Repo
from werkzeug.serving import WSGIRequestHandler, make_server

from benchmarks.compare import compare
from benchmarks.deliveries import COMMIT, REPOSITORY, SECRET, SMALL, headers, push
from benchmarks.figures import Curve, Figure
from benchmarks.tutorial import PATH, service
from benchmarks.upstream import Upstream, copy_checkout, pieces
from chalicelib.core.stored import ParameterNames
from pulley.sandbox.account import Account
from pulley.sandbox.app.chalice_local import Webhook
from pulley.sandbox.hosts.users import run_as_self
from pulley.sandbox.sandbox import STAGE, TARGET
from pulley.sandbox.setup import store_document, store_targets

GITHUB_WAITS = 10  # seconds: GitHub's page "Best practices for using webhooks"
SIZES = (10, 100, 500)  # MB
QUICK_SIZES = (1, 10)
GOAL = 1.5  # ratio of the largest push to the smallest
POST_SECONDS = 300


class Tutorial:
    """The tutorial's service, and a push that it has not pulled yet."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        """Begin to serve."""
        self._kept, self._checkout = directory / "kept", directory / "checkout"
        upstream = Upstream(directory / "upstream.git")
        before = upstream.push([[("index.html", b"<h1>Release one</h1>\n")]])
        run_as_self(["git", "clone", "-q", str(upstream.path), str(self._kept)], cwd=directory)
        commit = upstream.push([pieces(megabytes)])
        self.body = push(SMALL).replace(COMMIT.encode(), commit.encode())
        self._commits = before, commit
        app = service(SECRET, self._pull)
        self._server = make_server("127.0.0.1", 0, app, request_handler=_QuietHandler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self._url = f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def renew(self) -> None:
        """Restore the checkout as it was before the push."""
        copy_checkout(self._kept, self._checkout, run_as_self)
        self._expect(self._commits[0])

    def answer(self) -> None:
        """Post the push."""
        post(self._url, self.body, status=200)
        self._expect(self._commits[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _pull(self) -> None:
        # Not `pull("--rebase")`, which GitPython treats as a refspec.
        with Repo(self._checkout) as repository:
            repository.remotes.origin.pull(rebase=True)

    def _expect(self, commit: str) -> None:
        """Check that the checkout is at a commit, by a file, without starting a process."""
        if (self._checkout / ".git/refs/heads/main").read_text().strip() != commit:
            raise RuntimeError(f"the tutorial's checkout is not at {commit}")


def measure(*, quick: bool) -> Iterator[Figure | Curve]:
    """The seconds until each of the two answers, for each size."""
    sizes = QUICK_SIZES if quick else SIZES
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="pulley-bench-")))
        tutorials: dict[str, Tutorial] = {}
        for size in sizes:
            (directory / f"{size}").mkdir()
            tutorial = tutorials[f"{size}"] = Tutorial(directory / f"{size}", size)
            opened.callback(tutorial.close)
        url = opened.enter_context(pulley(directory / "webhook.log"))
        # Separately, with more rounds, because it is a thousand times as fast.
        ours = compare(
            {name: partial(post, url, one.body, status=202) for name, one in tutorials.items()},
            rounds=3 if quick else 20,
            calls=5,
        )
        theirs = compare(
            {name: one.answer for name, one in tutorials.items()},
            rounds=2 if quick else 3,
            before=lambda name: tutorials[name].renew(),
        )
    for size in sizes:
        for who, timings in (("the tutorial's service", theirs), ("Pulley", ours)):
            value, low, high = timings.over(f"{size}")
            yield Figure(f"answer to a push of {size} MB, {who}", value, "s", low=low, high=high)
    small, large = f"{sizes[0]}", f"{sizes[-1]}"
    for who, timings, goal in (("the tutorial's service", theirs, None), ("Pulley", ours, GOAL)):
        value, low, high = timings.ratio(large, small)
        name = f"answer to {large} MB over answer to {small} MB, {who}"
        yield Figure(name, value, "x", goal, low, high)
    yield curve(sizes, {"the tutorial's service": theirs.median, "Pulley": ours.median})


def curve(sizes: tuple[int, ...], medians: Mapping[str, Callable[[str], float]]) -> Curve:
    """Both services over MB, and how long GitHub waits."""
    series = {who: [(size, median(f"{size}")) for size in sizes] for who, median in medians.items()}
    series["GitHub waits"] = [(sizes[0], GITHUB_WAITS), (sizes[-1], GITHUB_WAITS)]
    return Curve("growth", "Until GitHub has its answer", "MB pushed", "seconds", series)


@contextmanager
def pulley(log: Path) -> Iterator[str]:
    """The webhook's address; the account has everything that a push needs."""
    with Account() as account:
        store_document(account.ssm, STAGE)
        account.ssm.put_parameter(
            Name=ParameterNames(STAGE).webhook_secret, Value=SECRET, Type="SecureString"
        )
        store_targets(account.ssm, STAGE, REPOSITORY, [TARGET])
        webhook = Webhook(account.environ, stage=STAGE, log=log)
        try:
            yield webhook.url
        finally:
            webhook.close()


def post(url: str, body: bytes, *, status: int) -> None:
    """Post the delivery, and check the status of the answer."""
    sent = {name: value for name, value in headers(body).items() if name != "Host"}
    # On a kept connection, TCP's delayed acknowledgement would add 40 ms at Chalice's server.
    with urllib3.PoolManager(retries=False, timeout=POST_SECONDS) as new_connection:
        answer = new_connection.request("POST", url, body=body, headers=sent)
    if answer.status != status:
        raise RuntimeError(f"{url} answered {answer.status}: {answer.data[:200]!r}")


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing."""
