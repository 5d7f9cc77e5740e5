"""The developer's clone of the deployed repository, and the site that it first contains."""

from collections.abc import Mapping
from pathlib import Path

from git import Repo

from pulley.sandbox.github.git_server import SOMEONE

_FIRST_FILES = {
    "index.html": "<h1>Release one</h1>\n",
    "settings.ini": "workers = 2\n",
    "health": "ok\n",
    ".gitignore": "build/\n",
    "deploy/after-pull": (
        "#!/bin/sh\n"
        "# Runs on each host, as the checkout's owner, after the pull.\n"
        "set -e\n"
        "mkdir -p build\n"
        "# The site serves these files meanwhile, so each is replaced at once.\n"
        "for file in index.html health; do\n"
        "    if [ -f $file ]; then cp $file build/.new && mv build/.new build/$file\n"
        "    else rm -f build/$file; fi\n"
        "done\n"
        'echo "built $PULLEY_COMMIT for $PULLEY_TARGET"\n'
    ),
}


def open_clone(directory: Path, remote: str) -> Repo:
    """Make a repository with a first commit on `main`, and push it. The caller closes it."""
    clone = Repo.init(directory, initial_branch="main")
    with clone.config_writer() as config:  # a person who pushes by hand may have none
        config.set_value("user", "name", str(SOMEONE.name))
        config.set_value("user", "email", str(SOMEONE.email))
    commit_files(clone, _FIRST_FILES, "Release one")
    clone.create_remote("origin", remote)
    clone.git.push("-q", "-u", "origin", "main")
    return clone


def commit_files(clone: Repo, files: Mapping[str, str], message: str) -> str:
    """Write the files and commit them. Returns the commit's SHA."""
    work_tree = Path(clone.working_dir)
    for path, content in files.items():
        (work_tree / path).parent.mkdir(parents=True, exist_ok=True)
        (work_tree / path).write_text(content)
        if content.startswith("#!"):
            (work_tree / path).chmod(0o755)
        clone.index.add([path])
    return clone.index.commit(message, author=SOMEONE, committer=SOMEONE).hexsha
