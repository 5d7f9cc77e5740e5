# shellcheck shell=sh
# Release folders: with Releases, each commit is built in a work tree of its own below `releases`, and `current` is
# a link to the one that runs. The clone beside them has the history, the lock and this script's state.
#
# A release is whole when its git directory has the note `built`: its commit, the tree of the edits that its own
# build made, and the settings that it was built with. Only such folders, and those in the list `doomed`, are ever
# used or removed: all others belong to somebody else.

# Work in a release from now on; "" is the clone. The paths are relative, so that they are not followed again.
go_to() { # release
    cd "./${this_release:+../../}$1" || { git_dir='' && finish broken "cannot enter $1"; }
    this_release=$1 common_dir=${1:+../../}.git
    git_dir=$common_dir${1:+/worktrees/}${1#*/} state=$common_dir/pulley
    errors=$state/git.err run_log=${run_log:+$state/run.log}
    [ "$euid" -eq 0 ] || return 0
    opened=yes
    find_of_others . "./${1:+..}" .git releases -prune
    refuse_found "$checkout_path/$1"
    [ -z "$1" ] || root_owns_folders HEAD
    opened=''
}

# Work in the release that runs; before there is one, in the clone. The link may be spelled in any way.
enter_current() {
    [ "$release_settings" ] || return 0
    go_to ''
    [ -d .git ] && [ ! -L releases ] && { [ -L current ] || [ ! -e current ]; } ||
        { git_dir='' && refuse 'current must be a link, in a clone'; }
    running=$(cd -P current 2>&- && pwd -P)
    running=${running#"$(pwd -P)/"}
    [ ! -f "$running/.git" ] || [ ! -s ".git/worktrees/${running#releases/}/built" ] || go_to "$running"
}

# Leave in `edits_commit` what somebody has edited in this release since it was built.
see_edits() {
    built_commit='' built_tree=''
    [ ! -f "$git_dir/built" ] || read -r built_commit built_tree _ <"$git_dir/built"
    create_stash || { refresh_index; create_stash; } || return
    edits_tree=$(commit_of "$edits_commit^{tree}")
    [ "${edits_tree:--}" != "$built_tree" ] || edits_commit=''
}

# Whether HEAD is detached at the commit, nothing was edited, and no submodule was.
is_as_built() {
    see_edits && read_line "$git_dir/HEAD" && [ "$text_line$edits_commit" = "$built_commit" ] &&
        ! git diff-files --ignore-submodules=untracked | grep -q ^:16
}

# Go to a whole release of a commit, if there is one in which nobody has changed anything. The way back takes the
# one that ran, even if somebody has changed it.
find_release() { # commit
    [ -z "$failed_step" ] || [ -z "$this_release" ] || [ "$(commit_of HEAD)" != "$1" ] || return 0
    go_to ''
    for one_note in .git/worktrees/*/built; do
        read_line "$one_note"
        case $text_line in "$1 "*" :$after_pull_program$shared_paths") ;; *) continue ;; esac
        has_folder "$one_note" || continue
        go_to "$one_folder"
        ! is_as_built || return 0
        go_to ''
    done
    return 1
}

# Leave the release in `one_folder`; whether it is there.
has_folder() { # note
    one_folder=${1%/built}
    one_folder=releases/${one_folder##*/}
    [ -f "$one_folder/.git" ]
}

# Make a release of a commit, up to where its own build begins, and go into it. Return 1 if a whole one is there.
make_release() { # commit
    [ "$release_settings" ] || return 0
    step_name=release words='' unlike=''
    ! find_release "$1" || return
    tidy_releases
    new_release=releases/$(date -u +%Y%m%dT%H%M%S)-$(printf %.7s "$1")-$$
    echo "== $new_release"
    echo "$new_release" >>"$state/doomed" # until it runs
    time_to_move
    time_limit=$time_left git worktree add -f --detach "$new_release" "$1" >"$errors" 2>&1 && go_to "$new_release" &&
        unlike=$(find_unlike) && [ -z "$unlike" ] && link_shared && return
    words="${unlike:+git could not write $unlike: }${words:-$(git_reason)}"
    # Free the room at once: the disk may be full.
    go_to ''
    drop_release "$new_release"
    stop_in_conflict "$words"
}

# A folder shared/x/ is made if it is missing, but not by root, who could be led elsewhere. And shared/x must be
# there: nobody knows what it should be.
link_shared() {
    # shellcheck disable=SC2046 # to be split; no path has a glob in it
    for place in $(echo "$shared_paths" | tr , ' '); do
        one_shared=${place%/} words="$place is missing in shared"
        [ "$place" = "$one_shared" ] || [ "$euid" -eq 0 ] || mkdir -p "../../shared/$place"
        [ -e "../../shared/$place" ] || return
        words="$one_shared is in the repository, too"
        mkdir -p "$one_shared" && rmdir "$one_shared" && ln -s "$checkout_path/shared/$one_shared" "$one_shared" || return
    done
}

# A site sees nothing but the rename.
switch_release() {
    [ "$release_settings" ] || return 0
    [ "$failed_step" ] || save_release
    step_name=switch words='cannot write current'
    echo "$commit_after" >"$state/begun" && rm -f ../../.current && ln -s "$this_release" ../../.current &&
        mv -fT ../../.current ../../current && has_switched=yes
}

# Save what somebody did in the release that is left. After that it is not used again, and may be removed.
save_release() {
    set -- "$this_release"
    go_to "$release_before"
    see_edits || stop_with_edits
    [ "$head_commit" = "$built_commit" ] || save_commits "$head_commit"
    [ -z "$edits_commit" ] || save_or_stop "$edits_commit" edits
    [ -z "$saved_ref" ] || [ -z "$built_commit" ] || note_built //edited
    go_to "$1"
}

# The settings of AfterPull begin with a colon; no program can be called //edited or //failed.
note_built() { # settings
    echo "$(commit_of HEAD) ${edits_tree:--} $1" >"$git_dir/built"
}

# Go back to the release that ran. If nothing else has run meanwhile, that is all.
leave_failed_release() {
    [ "$this_release" != "${new_release-}" ] || [ -z "$has_switched" ] || note_built //failed
    go_to "$release_before"
    step_name=$failed_step
    [ "$has_switched$drift_found" ] || [ "$head_commit" != "$marker_commit" ] || finish rolled_back "$failed_words"
}

# Remove what a killed or failed run left: git may be unable to read it, and then every fetch would fail.
drop_doomed_releases() {
    [ "$release_settings" ] || return 0
    go_to ''
    [ ! -f "$state/doomed" ] || while read -r one_folder; do
        drop_release "$one_folder"
    done <"$state/doomed"
    true >"$state/doomed"
    enter_current
}

# Make room for one more: remove the oldest, but none that somebody has changed since.
tidy_releases() {
    set -- .git/worktrees/*/built
    while [ $# -ge "${release_settings%%,*}" ] && [ -e "$1" ]; do
        if has_folder "$1"; then
            go_to "$one_folder"
            is_as_built || one_folder=''
            go_to ''
        fi
        [ -z "$one_folder" ] || { echo "$one_folder" >>"$state/doomed" && drop_release "$one_folder"; }
        shift
    done
}

# The note goes first. The release that runs is not removed, nor is a link.
drop_release() { # release
    [ ! "$1" -ef current ] && [ ! -L "$1" ] || return 0
    rm -f ".git/worktrees/${1#*/}/built"
    rm -rf "$1" || { chmod -R u+w "$1" && rm -rf "$1"; }
    rm -rf ".git/worktrees/${1#*/}"
}
