# shellcheck shell=sh
# What a killed run, or another killed git, left behind.

# A move (below) writes down first where it goes from, so that a killed one can be taken back. What
# other git commands left when they were killed is cleared too; what a person is in the middle of
# is not ours to touch.
mend() {
    end_leftovers
    clear_locks
    if [ -s "$state/moving" ]; then
        read -r _ _ _ _ _ _ whole <"$state/moving"
        if [ "$whole" = whole ]; then
            save_what_came_since
            take_back
        fi # else the disk was full, and nothing had moved yet
    fi
    for dir in rebase-merge rebase-apply; do
        [ ! -d "$git_dir/$dir" ] || mend_rebase "$git_dir/$dir"
    done
    for name in MERGE_HEAD REVERT_HEAD BISECT_LOG sequencer CHERRY_PICK_HEAD; do
        [ -e "$git_dir/$name" ] || continue
        if [ $name = CHERRY_PICK_HEAD ] && git diff --cached --quiet; then
            rm -f "$git_dir/$name" # a killed rebase leaves it
        else
            finish conflict "someone is in the middle of something here ($name)"
        fi
    done
}

# Between the kill and now someone may have edited or committed here: what the move neither had
# before it nor made itself stays under a ref. (Half of a file, too, does no harm there.)
save_what_came_since() {
    read -r was_ref was was_to was_tip was_edits was_edits_ref _ <"$state/moving"
    beneath=$was
    set -- "$was_to"
    [ "$was_tip" = - ] || set -- "$@" "$was_tip"
    for commit in "$local_ref" HEAD; do
        git rev-list -n 1 --cherry-pick --right-only "$was...$commit" --not "$@" -- >"$state/new" 2>>"$log"
        if [ -s "$state/new" ]; then
            name_saved_ref
            git update-ref "$ref" "$commit" || stop_unsaved
            beneath=$ref saved=$ref
        fi
    done
    set -- "$was" "$was_to" HEAD
    [ "$was_edits" = - ] || set -- "$@" "$was_edits"
    tree=$(tree_of_now "$was" "$was_to" 2>"$state/git.err") || stop_unsaved
    if for known; do
        git diff-tree -r --no-renames --diff-filter=d --name-only "$known" "$tree" --
    done | sort | uniq -c | grep -q "^ *$# "; then
        name_saved_ref
        found=$(git -c user.name=Pulley -c user.email=pulley@localhost \
            commit-tree -p "$beneath" -m "pulley: found on $Target" "$tree" 2>"$state/git.err") &&
            git update-ref "$ref" "$found" 2>"$state/git.err" || stop_unsaved
        saved=$ref
    fi
}

# What cannot be saved is not to be lost: then nothing is moved or taken back.
stop_unsaved() {
    finish conflict "what was changed here since a killed run cannot be saved: $(reason "$state/git.err")"
}

# The files that one commit, the other or the index has, as they stand in the work tree.
tree_of_now() ( # from to
    rm -f "$state/index" "$state/index.lock"
    cp "$git_dir/index" "$state/index" || exit 1
    # shellcheck disable=SC2030 # of this subshell
    export GIT_INDEX_FILE="$state/index"
    # shellcheck disable=SC2016 # the inner shell expands; what is a folder now is no file
    git add -u && git diff-tree -r -z --no-renames --name-only "$1" "$2" -- >"$state/new.all" &&
        xargs -0 -r sh -c 'for file; do [ -d "./$file" ] && [ ! -L "./$file" ] || printf "%s\0" "$file"; done' sh \
            <"$state/new.all" >"$state/new" &&
        git update-index --add --remove -z --stdin <"$state/new" &&
        git write-tree
    status=$?
    rm -f "$state/index"
    exit $status
)

# A rebase that is not Pulley's: dead if it stopped nowhere that a person would have to go on from.
mend_rebase() { # folder
    last=''
    [ ! -f "$1/done" ] || while read -r line; do last=$line; done <"$1/done"
    case $last in break* | b | exec* | x\ * | edit* | e\ *) last=stopped ;; esac
    if [ "$last" = stopped ] || [ -e "$1/stopped-sha" ] || [ -e "$1/applying" ] ||
        [ -n "$(git ls-files -u)" ] || git_is_at_work ||
        { [ "${1##*/}" = rebase-apply ] && ! git diff --cached --quiet; }; then
        finish conflict "someone is in the middle of a rebase here"
    fi
    head_name='' orig_head='' onto='' autostash=''
    [ ! -f "$1/head-name" ] || read -r head_name <"$1/head-name"
    [ ! -f "$1/orig-head" ] || read -r orig_head <"$1/orig-head"
    [ ! -f "$1/onto" ] || read -r onto <"$1/onto"
    [ ! -f "$1/autostash" ] || read -r autostash <"$1/autostash"
    if [ -z "$orig_head$autostash" ]; then # killed before it had moved anything
        rm -rf -- "$1"
        return
    fi
    # Of someone who came after the kill; or halves of files, and then it does no harm.
    refresh_index
    found=$(git stash create "pulley: found on $Target" 2>"$state/git.err") || stop_unsaved
    if [ -n "$found" ]; then
        name_saved_ref
        git update-ref "$ref" "$found" 2>"$state/git.err" || stop_unsaved
        saved=$ref
    fi
    if [ -n "$autostash" ]; then
        name_saved_ref
        autostash_ref=$ref
        git update-ref "$autostash_ref" "$autostash"
    fi
    if [ -n "$orig_head" ] && [ -n "$onto" ]; then
        remove_added "$orig_head" "$onto" "$1/onto"
    fi
    case $head_name in
        refs/*) git symbolic-ref HEAD "$head_name" ;;
        ?*) [ -z "$orig_head" ] || git update-ref --no-deref HEAD "$orig_head" ;;
    esac
    reset_hard HEAD
    rm -rf -- "$1" "$git_dir/CHERRY_PICK_HEAD" "$git_dir/REBASE_HEAD" "$git_dir/AUTO_MERGE"
    [ -z "$autostash" ] || put_back "$autostash" "$autostash_ref"
}

# Everything back to where a move began. Done twice, or killed and done again, it ends the same.
take_back() {
    read -r was_ref was was_to was_tip was_edits was_edits_ref _ <"$state/moving" ||
        finish no_checkout "cannot read $state/moving"
    rm -rf -- "$git_dir/rebase-merge" "$git_dir/CHERRY_PICK_HEAD" "$git_dir/REBASE_HEAD" "$git_dir/AUTO_MERGE"
    clear_locks
    [ "$was_tip" = - ] || git update-ref "$local_ref" "$was_tip"
    case $was_ref in
        refs/*) git symbolic-ref HEAD "$was_ref" ;;
        *) git update-ref --no-deref HEAD "$was" ;;
    esac
    if [ "$was_tip" = - ] && git rev-parse -q --verify "$local_ref" >/dev/null; then
        git update-ref -d "$local_ref"
    fi
    [ -n "${refused-}" ] || remove_added "$was" "$was_to" "$state/since"
    # In a folder that cannot be written git fails, though nothing there was changed.
    reset_hard "$was" || { git reset -q "$was" -- >>"$log" 2>&1; [ -z "$(find_unlike)" ]; } ||
        finish broken "what was moved could not be taken back: $(tail -n 1 "$log")"
    if [ "$was_edits" != - ]; then
        remove_added "$was" "$was_edits" "$state/since"
        if git stash apply -q --index "$was_edits" >>"$log" 2>&1 || git stash apply -q "$was_edits" >>"$log" 2>&1; then
            git update-ref -d "$was_edits_ref"
        else # they stay saved: a second try would fail as well
            reset_hard "$was"
            saved=$was_edits_ref
        fi
    fi
    true >"$state/moving"
}

# Files that a killed checkout began to write: in `to`, not in `from`, and either not older than
# the reference or the same as in `to`. A file that was there before it, with other content, stays.
remove_added() { # from to reference
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" -- | xargs -0 -r sh -c '
        to=$1 reference=$2
        shift 2
        for file; do
            [ -f "./$file" ] || [ -L "./$file" ] || continue
            [ ! "$reference" -nt "./$file" ] ||
                [ "$(git hash-object -- "./$file")" = "$(git rev-parse -q --verify "$to:$file")" ] ||
                continue
            rm -f -- "./$file"
        done' sh "$2" "$3"
}
