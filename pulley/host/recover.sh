# shellcheck shell=sh
# Clean up after a run or another git that was killed.

# A move first writes down where it starts, so that a killed one can be taken back. What other killed git
# commands left is removed, too. What a person has begun and not ended is not touched.
mend() {
    end_leftovers
    drop_doomed_releases
    clear_locks
    # A power cut may leave the index empty, and then every git command fails.
    [ ! -f "$git_dir/index" ] || [ -s "$git_dir/index" ] || { rm -f "$git_dir/index" && git reset -q -- .; }
    read_line "$state/moving"
    case ${this_release:-$text_line} in # a release is left as it is
        *' whole') # without this word the disk was full, and nothing had moved yet
            save_what_came_since
            take_back
            ;;
    esac
    for dir in rebase-merge rebase-apply; do
        [ ! -d "$git_dir/$dir" ] || mend_rebase "$git_dir/$dir"
    done
    for this_name in MERGE_HEAD REVERT_HEAD BISECT_LOG sequencer CHERRY_PICK_HEAD; do
        [ -e "$git_dir/$this_name" ] || continue
        if [ $this_name = CHERRY_PICK_HEAD ] && git diff --cached --quiet; then
            rm -f "$git_dir/$this_name" # a killed rebase leaves it
        else
            stop_in_conflict "someone is in the middle of something ($this_name)"
        fi
    done
}

# Somebody may have edited or committed here since the kill. Save such work under a ref: edits and commits
# that were not there before the move, and that the move did not make. (A file that is cut off may be saved,
# too; that does no harm.)
save_what_came_since() {
    read_move
    beneath=$was_at
    set -- "$was_to"
    [ "$was_tip" = - ] || set -- "$@" "$was_tip"
    for one_commit in "$was_branch" HEAD; do
        commit_of "$one_commit" || continue # the move had not made the branch yet
        # If commits cannot be listed, assume that there are some.
        git rev-list -n 1 --cherry-pick --right-only "$was_at...$one_commit" --not "$@" -- >"$state/new" || echo >"$state/new"
        if [ -s "$state/new" ]; then
            keep_commit "$one_commit" || stop_unsaved
            beneath=$this_ref saved_ref=$this_ref
        fi
    done
    set -- "$beneath" "$was_at" "$was_to" HEAD
    [ "$was_edits" = - ] || set -- "$@" "$was_edits"
    save_files "$@"
}

# Save under a ref what the work tree has and none of these commits has.
save_files() { # parent from to commit...
    beneath=$1
    shift
    tree=$(tree_of_now "$1" "$2" 2>"$errors") || stop_unsaved
    if for known; do
        git diff-tree -r --no-renames --diff-filter=d --name-only "$known" "$tree" --
    done | sort | uniq -c | grep -q "^ *$# "; then
        finding=$(git -c user.name=Pulley -c user.email=pulley@localhost \
            commit-tree -p "$beneath" -m "pulley: found on $target_name" "$tree" 2>"$errors") &&
            keep_commit "$finding" || stop_unsaved
        saved_ref=$this_ref
    fi
}

# If something cannot be saved, move nothing and take nothing back.
stop_unsaved() {
    stop_in_conflict "what was changed since a killed run cannot be saved: $(git_reason)"
}

# Make a tree of the work tree, for the files that either commit or the index has.
tree_of_now() ( # from to
    rm -f "$state/index" "$state/index.lock"
    cp "$git_dir/index" "$state/index" || exit 1
    # shellcheck disable=SC2030 # only for this subshell
    export GIT_INDEX_FILE="$state/index"
    # Leave out what is a folder now.
    git add -u && git diff-tree -r -z --no-renames --name-only "$1" "$2" -- >"$state/new.all" &&
        each_file name_if is_no_folder <"$state/new.all" >"$state/new" &&
        git update-index --add --remove -z --stdin <"$state/new" &&
        git write-tree
    exit_status=$?
    rm -f "$state/index"
    exit $exit_status
)

# Take back a rebase during which another git was killed. A rebase that stopped so that a person can continue
# it is a conflict.
mend_rebase() { # folder
    text_line=''
    [ ! -f "$1/done" ] || text_line=$(tail -n 1 "$1/done")
    case $text_line in break* | b | exec* | x\ * | edit* | e\ *) text_line=stopped ;; esac
    if [ "$text_line" = stopped ] || [ -e "$1/stopped-sha" ] || [ -e "$1/applying" ] ||
        [ "$(git ls-files -u)" ] || git_is_at_work ||
        { [ "${1##*/}" = rebase-apply ] && ! git diff --cached --quiet; }; then
        stop_in_conflict 'someone is in the middle of a rebase'
    fi
    for this_name in head-name orig-head onto autostash; do
        read_line "$1/$this_name"
        set -- "$@" "$text_line"
    done
    head_name=$2 orig_head=$3 onto=$4 stash_of_git=$5
    if [ -z "$orig_head$stash_of_git" ]; then # it was killed before it moved anything
        rm -rf "$1"
        return
    fi
    # Save edits made after the kill. It may save files that are cut off, which does no harm.
    refresh_index
    finding=$(git stash create "pulley: found on $target_name" 2>"$errors") || stop_unsaved
    if [ "$finding" ]; then
        keep_commit "$finding" || stop_unsaved
        saved_ref=$this_ref
    fi
    # `git stash create` does not save files that are untracked now, and that git would overwrite.
    [ -z "$orig_head" ] || save_files HEAD "$orig_head" HEAD ${finding:+"$finding"}
    [ -z "$stash_of_git" ] || keep_commit "$stash_of_git" || stop_unsaved
    if [ "$orig_head" ]; then
        [ -z "$onto" ] || remove_added "$orig_head" "$onto" "$1/onto"
        [ -z "$head_name" ] || point_head "$head_name" "$orig_head"
    fi
    reset_hard HEAD
    [ -z "$stash_of_git" ] || put_back "$stash_of_git" "$this_ref"
    remove_rebase "$1"
}

point_head() { # branch's ref, or any other word for a detached HEAD; commit
    case $1 in
        refs/*) git symbolic-ref HEAD "$1" ;;
        *) git update-ref --no-deref HEAD "$2" ;;
    esac
}

remove_rebase() { # folder
    rm -rf "$1" "$git_dir/CHERRY_PICK_HEAD" "$git_dir/REBASE_HEAD" "$git_dir/AUTO_MERGE"
}

read_move() {
    read -r was_ref was_at was_to was_tip was_edits was_edits_ref was_branch _ <"$state/moving" || refuse "cannot read $state/moving"
    [ "$was_branch" != whole ] || was_branch=$local_ref # up to release 0.2.0 the branch was not written
}

# Take everything back to where a move began. If this is killed, the next run does it again.
take_back() {
    read_move
    root_owns_folders "$was_at"
    [ "$was_edits" = - ] || root_owns_folders "$was_edits"
    remove_rebase "$git_dir/rebase-merge"
    clear_locks
    [ "$was_tip" = - ] || git update-ref "$was_branch" "$was_tip"
    point_head "$was_ref" "$was_at"
    if [ "$was_tip" = - ] && commit_of "$was_branch"; then
        git update-ref -d "$was_branch"
    fi
    [ "${refused-}" ] || remove_added "$was_at" "$was_to" "$state/since"
    # git fails in a folder that cannot be written, even if nothing has changed there.
    reset_hard "$was_at" || { git reset -q "$was_at" --; [ -z "$(find_unlike)" ]; } ||
        finish broken "cannot take back what was moved: $(tail -n 1 "$run_log")"
    if [ "$was_edits" != - ]; then
        remove_added "$was_at" "$was_edits" "$state/since"
        put_back "$was_edits" "$was_edits_ref"
    fi
    true >"$state/moving"
}
