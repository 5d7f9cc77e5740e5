# shellcheck shell=sh
# The checkout: its folder, and git in it.

go_in() {
    [ -z "$inside" ] || return 0
    cd -- "$Checkout" 2>/dev/null || finish no_checkout "$Checkout is not there, or not to be entered"
    inside=yes
}

enter_checkout() {
    export GIT_TERMINAL_PROMPT=0
    (unset -f git && command -v git >/dev/null) || finish no_checkout "git is not installed"
    go_in
    check_mount .
    [ -e .git ] || finish no_checkout "$Checkout is not a git work tree"
    if [ -d .git ] && [ ! -L .git ]; then
        git_dir=.git common_dir=.git # not by the path again
    else # a linked work tree, or a submodule
        git_dir=$(git rev-parse --absolute-git-dir 2>/dev/null) &&
            common_dir=$(cd "$(git rev-parse --git-common-dir)" && pwd -P) ||
            finish no_checkout "$Checkout is not a git work tree"
    fi
    state=$git_dir/pulley
    local_ref=refs/heads/$Branch
    upstream_ref=refs/remotes/origin/$Branch
}

# git as every step wants it. Nothing that it leaves behind may hold the lock or root's ear, or keep
# the agent waiting for the end of stdout or stderr; so callers send its output to a file. The
# checkout's hooks do not run: one that fails, hangs or stays would stop a deploy half-way.
# shellcheck disable=SC2032 # xargs runs git itself
git() {
    set -- -c gc.auto=0 -c maintenance.auto=false -c core.logAllRefUpdates=true -c core.fsmonitor=false \
        -c commit.gpgSign=false -c submodule.recurse=false -c rebase.autoStash=false \
        -c core.hooksPath=/dev/null "$@"
    if [ -n "${within-}" ]; then
        new_mark
        (
            take_mark
            export LC_ALL=C
            exec timeout --foreground -k 5 "$within" git "$@"
        ) 3>&- 4>&- 5<&- 9>&-
        set -- $?
        # Its ssh, or a filter, is at work still.
        [ "$1" -ne 124 ] && [ "$1" -ne 137 ] || end_started
        mark=''
        return "$1"
    else
        LC_ALL=C command git "$@" 3>&- 4>&- 5<&- 9>&-
    fi
}
