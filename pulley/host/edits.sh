# shellcheck shell=sh
# Local edits: save them in a commit, remove them from the work tree, and put them back.

# Save all edits in the commit `edits_commit`; "" if there are none. It leaves out files in a folder that somebody
# replaced by a link, and files that git calls modified although they are as git writes them (because of
# line endings or filters): nobody edited those.
find_edits() {
    true >"$state/linked" && true >"$state/nobodys" || stop_in_conflict "cannot write below $state"
    create_stash || { refresh_index; create_stash; } || create_stash_beside_links || stop_with_edits
    if [ -s "$state/linked" ]; then
        changed_file=$(each_file git --literal-pathspecs diff --name-only "$head_commit" "$to" -- <"$state/linked" | first_line)
        [ -z "$changed_file" ] || stop_in_conflict "the update changes $changed_file, whose folder is a link here"
    fi
    [ "$edits_commit" ] || return 0
    list_nobodys
    [ ! -s "$state/nobodys" ] || create_stash_without "$state/linked" "$state/nobodys" || stop_with_edits
}

create_stash() {
    time_to_move # a filter can hang, and so can a promisor remote
    edits_commit=$(time_limit=${can_hang:+$time_left} git stash create "pulley: edits on $target_name" 2>"$errors")
    set -- $?
    [ "$1" -ne 124 ] || stop_in_conflict "git did not save the local edits within $time_left seconds"
    return "$1"
}

# If a file was touched but not changed, `git stash` fails without a message.
refresh_index() {
    git update-index -q --refresh
}

create_stash_without() { # files of names
    cp "$git_dir/index" "$state/index" &&
        cat -- "$@" | GIT_INDEX_FILE=$state/index git update-index -z --skip-worktree --stdin 2>"$errors" &&
        GIT_INDEX_FILE=$state/index create_stash
    set -- $?
    rm -f "$state/index"
    return "$1"
}

# Hosts often replace a folder of the repository by a link to shared data.
create_stash_beside_links() {
    grep -q 'beyond a symbolic link' "$errors" || return 1
    git diff-files -z --name-only --diff-filter=D | each_file name_if is_beyond_link >"$state/linked"
    [ -s "$state/linked" ] && create_stash_without "$state/linked"
}

# List files that git calls modified, although they are what git would write.
list_nobodys() {
    git -c core.fileMode=false diff-files -z --name-only --diff-filter=M --ignore-submodules=all |
        each_file name_if is_as_written >"$state/nobodys"
}

bring_nobodys_back() {
    [ ! -s "$state/nobodys" ] || git checkout-index -q -f -z --stdin <"$state/nobodys"
}

first_that_is() { # git's letter for it
    git diff --name-only --diff-filter="$1" | first_line
}

stop_with_edits() {
    unmerged=$(first_that_is U)
    half_added=$(first_that_is A)
    linked=$(tr '\000' '\n' <"$state/linked" | first_line)
    if [ "$linked" ]; then
        stop_in_conflict "the folder of ${linked#./} is a link here: $(git_reason)"
    elif [ "$unmerged" ]; then
        stop_in_conflict "someone is in the middle of a merge: $unmerged is in conflict"
    elif [ "$half_added" ]; then
        stop_in_conflict "$half_added is only half added (git add -N): add it or reset it"
    else
        stop_if_replaced # git 2.30 does not name the file
        stop_in_conflict "$(git_reason)"
    fi
}

stop_if_replaced() {
    in_the_way=$(find_replaced)
    [ -z "$in_the_way" ] || stop_in_conflict "$in_the_way is untracked, where the repository has something else"
}

# Print the first untracked file or folder in the place of a file of HEAD: git cannot save it in a commit.
find_replaced() {
    git diff-index -z --no-renames --diff-filter=D --name-only HEAD -- | each_file tell_replaced | first_line
}

tell_replaced() {
    this_path=. rest=${file_name#./}/
    while [ "$rest" ]; do
        this_path=$this_path/${rest%%/*} rest=${rest#*/}
        [ -d "$this_path" ] && [ ! -L "$this_path" ] || break
    done
    # Links that replace folders were handled before.
    [ ! -s "$state/linked" ] || [ -z "$rest" ] || [ ! -L "$this_path" ] || return 0
    [ ! -e "$this_path" ] && [ ! -L "$this_path" ] || git --literal-pathspecs ls-files -o -- "$this_path"
}

# Put edits back into the work tree. If they do not fit any more, they stay saved.
put_back() { # commit ref
    if git stash apply -q --index "$1"; then
        git update-ref -d "$2"
        return
    fi
    reset_hard HEAD
    if ! git stash apply -q "$1"; then
        reset_hard HEAD
        saved_ref=$2 file_aside=$(git diff --name-only "$1^1" "$1" -- | first_line)
        # Begin with a line break, because a killed run may have left half a line.
        printf '\n%s %s\n' "$2" "$file_aside" >>"$state/aside"
    elif git diff --quiet "$1^2" "$1" -- || git diff --quiet "$1^1" "$1^2" --; then
        git update-ref -d "$2"
    else
        saved_ref=$2 # what was staged is in neither the work tree nor the commit
    fi
}

# Reset index and work tree to a commit. Files marked "assume unchanged" (often a host's settings) stay as
# they are: mark them "skip worktree" meanwhile, which `git reset` respects.
reset_hard() { # commit
    {
        git ls-files -v -z | tr '\n\000' '\001\n' | sed -n 's/^h //p' | tr '\n\001' '\000\n'
        [ ! -s "$state/linked" ] || cat "$state/linked"
    } >"$state/assumed"
    [ ! -s "$state/assumed" ] || git update-index -z --skip-worktree --stdin <"$state/assumed"
    git reset -q --hard "$1" --
    exit_status=$?
    [ ! -s "$state/assumed" ] || git update-index -z --no-skip-worktree --stdin <"$state/assumed"
    return $exit_status
}
