# shellcheck shell=sh
# Bring submodules to the commits that are recorded for them.

update_submodules() {
    look_into_submodules
    bring_submodules || {
        drop_half_made_submodules
        bring_submodules
    } || return
    look_into_submodules
    [ -z "$words" ]
}

bring_submodules() {
    save=$save_commit level=$a_level step_within sh -c "$a_level"
}

# Check that each submodule is at its recorded commit, unless its settings want something else.
# shellcheck disable=SC2016 # git's own shell expands
look_at_one='
    case $(git -C "$toplevel" config "submodule.$name.update") in
        "" | check_out) test "$(git rev-parse HEAD)" = "$sha1" ;;
    esac || echo "error: $displaypath is not at $sha1" >&2
    echo "$displaypath"'

# git reports that it has updated a submodule even if it could not write a file. So write each such file
# again, and leave in `words` what is still wrong, or "".
look_into_submodules() {
    git submodule --quiet foreach --recursive "$look_at_one" >"$state/new" 2>"$errors"
    words=$(grep -m 1 -e '^error: ' -e '^fatal: ' "$errors")
    while IFS= read -r module; do
        unwritten=$({ cd "$module" && list_differing | each_file write_again; } 2>"$errors" | sed -n 1p)
        [ -z "$unwritten" ] || words="git could not write $module/$unwritten: $(git_reason)"
    done <"$state/new"
}

# A file that git could not write has no times in the index. On the disk it is missing, or it has the content
# of some commit. Any other content is somebody's edit, even if the index has no times for it (after git add
# and git reset). In a roll back put the present file into the index, because git refuses to leave a commit
# while a file differs from the index.
write_again() {
    git ls-files --debug -- ":(literal)$file_name" | grep -q 'ctime: 0:0$' || return 0
    [ ! -e "$file_name" ] || [ "$(git log -1 --format=%h --exclude=refs/stash --all --find-object="$(git hash-object "$file_name")")" ] || return 0
    git checkout-index -q -f -u -- "$file_name" && is_as_written && return # before git 2.30 checkout-index never fails
    echo "${file_name#./}"
    [ -z "$failed_step" ] || git update-index --add --remove -- "$file_name"
}

# In a submodule, save a commit that is in no branch and no tag: a move would lose it.
# shellcheck disable=SC2016 # git's own shell expands
save_commit='
    commits=$(git rev-list -n 1 HEAD --not --branches --tags --remotes --glob=refs/pulley/saved) && test -z "$commits" ||
        git update-ref "refs/pulley/saved/$(git rev-parse HEAD)" HEAD'

# Update level by level, because git stops if it rejects the present .gitmodules in a submodule: each
# submodule is brought to its commit before its own submodules are read.
# shellcheck disable=SC2016 # the inner shell expands
a_level='
    test ! -f .gitmodules || {
        git submodule --quiet sync &&
            git submodule --quiet foreach "$save" &&
            git submodule --quiet update --init &&
            git submodule --quiet foreach "$level"
    }'

# If a clone of a submodule was killed, the submodule has no commit, and git would not clone it again. If
# git was killed later, it left locks. Look only into folders that git lists: in any other folder
# another user could replace what was found by a link.
drop_half_made_submodules() {
    [ ! -d "$git_dir/modules" ] || git_is_at_work || find "$git_dir/modules" -name '*.lock' -exec rm -f {} +
    git ls-files -sz | to_lines | sed -n "s/^16.*$tab_char//p" | each_line find_links | while IFS= read -r this_link; do
        read -r module <"$this_link"
        case $module in
            'gitdir: '*/modules/*)
                (cd "${this_link%/.git}" && commit_of HEAD) || rm -f "$this_link"
                ;;
        esac
    done
    [ -d "$git_dir/modules" ] || return 0
    find "$git_dir/modules" -name HEAD -type f | while read -r module; do
        module=${module%/HEAD}
        # A log or a branch may be called HEAD, too: these have no `objects`. A module with branches was
        # cloned completely once, so keep it.
        if [ -d "$module/objects" ] && [ -z "$(find "$module/refs/heads" -type f)" ] &&
            ! grep -qs ' refs/heads/' "$module/packed-refs" && ! git --git-dir="$module" rev-parse -q --verify HEAD; then
            rm -rf "$module"
        fi
    done
}

find_links() { # folder of a submodule
    find "$1" -name .git -type f
}

# If a file replaces a submodule, git deletes the submodule's folder with all that is in it. In a roll back
# that is what failed steps left there, so move it away like their other files.
stop_if_submodule_is_lost() {
    may_have_submodules || return 0
    git diff-tree -r -z --no-renames --diff-filter=T "$head_commit" "$to" -- >"$state/new"
    [ -s "$state/new" ] || return 0
    filled=$(to_lines <"$state/new" | sed -n '/^:16/{n;p;}' | each_line tell_filled | first_line)
    [ -z "$filled" ] || stop_in_conflict "the submodule $filled has files or edits of its own, where the update has a file"
}

# Without .gitmodules, somebody may have committed a clone as a submodule by mistake.
may_have_submodules() {
    for this_link in .gitmodules "$git_dir/modules" */.git .[!.]*/.git */*/.git */*/*/.git; do
        [ ! -e "$this_link" ] || return 0
    done
    return 1
}

tell_filled() {
    is_filled || return 0
    if [ "$failed_step" ]; then
        mkdir -p "$state/made/${file_name%/*}" && mv -f "$file_name" "$state/made/$file_name" && return
    fi
    echo "${file_name#./}"
}

# A git directory in the folder (its own, or a submodule's) may have commits that are nowhere else.
is_filled() {
    [ -d "$file_name" ] && [ ! -L "$file_name" ] || return 1
    if [ -f "$file_name/.git" ] && [ -z "$(find "$file_name" -mindepth 2 -name .git)" ]; then
        [ "$(git -C "$file_name" status --porcelain --ignored --untracked-files=normal 2>&1)" ]
    else
        [ "$(find "$file_name" -mindepth 1)" ]
    fi
}
