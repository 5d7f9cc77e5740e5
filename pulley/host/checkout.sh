# shellcheck shell=sh
# The checkout: its folder, and git in it.

go_in() {
    [ -z "$is_inside" ] || return 0
    [ -z "$Clone" ] || [ -e "$checkout_path/.git" ] || make_place
    cd -P -- "$checkout_path" || refuse "cannot enter $checkout_path${owner_user:+: it is not cloned yet}"
    is_inside=yes
}

refuse_folder() {
    refuse "$checkout_path is not a git work tree"
}

enter_checkout() {
    export GIT_TERMINAL_PROMPT=0
    go_in
    check_mount .
    [ -e .git ] || begin_clone
    if [ -d .git ] && [ ! -L .git ]; then
        git_dir=.git common_dir=.git # relative, so that the path is not followed again
    else # a linked work tree, or a submodule
        git_dir=$(git rev-parse --absolute-git-dir) &&
            common_dir=$(cd "$(git rev-parse --git-common-dir)" && pwd -P) ||
            refuse_folder
        # The built script has no quotes around these.
        case $git_dir$common_dir in *[!A-Za-z0-9/.@+=,#%_-]*) refuse "$git_dir has an odd character" ;; esac
    fi
    state=$git_dir/pulley
    errors=$state/git.err
    local_ref=refs/heads/$branch_name
    remote_ref=$local_ref upstream_ref=refs/remotes/origin/$branch_name
    # Fetch a tag into a ref that is neither a tag nor a branch, so that the host's own tags, and a branch with
    # the tag's name, stay as they are. Linked work trees share their refs, so each has a ref with its name.
    [ $follows != tag ] || local_ref=- remote_ref=refs/tags/$branch_name upstream_ref=refs/pulley/tag-${git_dir##*/}
    enter_current
}

# Run a command without the script's descriptors. A process that it leaves behind must not hold the lock,
# send requests to root, or keep the agent waiting for the end of stdout or stderr.
run_alone() { # command
    "$@" 3>&- 4>&- 5<&- 6>&- 9>&-
}

# git with the settings that every step needs. The checkout's hooks do not run: one that fails or hangs
# would stop a deploy half-way.
git() {
    set -- -c gc.auto=0 -c maintenance.auto=false -c core.logAllRefUpdates=true -c core.fsmonitor=false \
        -c commit.gpgSign=false -c submodule.recurse=false -c rebase.autoStash=false \
        -c core.hooksPath=/dev/null -c log.diffMerges=separate "$@"
    if [ -z "${time_limit-}" ]; then
        LC_ALL=C run_alone command git "$@"
        return
    fi
    new_mark
    (
        take_mark
        export LC_ALL=C
        run_alone exec timeout --foreground -k 5 "$time_limit" git "$@"
    )
    set -- $?
    # After the time-out its ssh, or a filter, may still run.
    [ "$1" -ne 124 ] && [ "$1" -ne 137 ] || end_started
    mark=''
    return "$1"
}
