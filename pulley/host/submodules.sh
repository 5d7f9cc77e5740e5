# shellcheck shell=sh
# Submodules, brought to the commits that are wanted of them.

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

# Git has brought each to the commit that is recorded, unless its settings say otherwise.
# shellcheck disable=SC2016 # git's own shell expands
look_at_one='
    case $(git -C "$toplevel" config "submodule.$name.update") in
        "" | checkout) test "$(git rev-parse HEAD)" = "$sha1" ;;
    esac || echo "error: $displaypath is not at $sha1" >&2
    echo "$displaypath"'

# Git says that it has updated one also where it could not write a file. So each such file is written
# once more. What is wrong then is in `words`, which are empty otherwise.
look_into_submodules() {
    git submodule --quiet foreach --recursive "$look_at_one" >"$state/new" 2>"$errors"
    words=$(grep -m 1 -e '^error: ' -e '^fatal: ' "$errors")
    while IFS= read -r module; do
        unwritten=$({ cd "$module" && git diff-files -z --name-only --ignore-submodules=all | each write_again; } 2>"$errors" | sed -n 1p)
        [ -z "$unwritten" ] || words="git could not write $module/$unwritten: $(git_reason)"
    done <"$state/new"
}

# What git could not write has no times in the index, and on the disk it is a version of some branch's
# commit, or is missing; anything else is someone's edit, also where git has seen it (git add and reset). On the way back the index takes what is there, because
# git would not leave a commit with an edit in it.
write_again() {
    git ls-files --debug -- ":(literal)$file" | grep -q 'ctime: 0:0$' || return 0
    [ ! -e "$file" ] || [ -n "$(git log -1 --format=%h --exclude=refs/stash --all --find-object="$(git hash-object -- "$file")")" ] || return 0
    git checkout-index -q -f -u -- "$file" && is_as_written && return # before 2.30 it never fails
    echo "${file#./}"
    [ -z "${failed_step-}" ] || git update-index --add --remove -- "$file"
}

# In a submodule, a commit that is in no branch and no tag would be lost when it moves.
# shellcheck disable=SC2016 # git's own shell expands
save_commit='
    commits=$(git rev-list -n 1 HEAD --not --branches --tags --remotes --glob=refs/pulley/saved) && test -z "$commits" ||
        git update-ref "refs/pulley/saved/$(git rev-parse HEAD)" HEAD'

# Where git refuses the .gitmodules of a submodule's own, it goes no further from there; so here each is
# brought to its commit before it is looked into.
# shellcheck disable=SC2016 # the inner shell expands
a_level='
    test ! -f .gitmodules || {
        git submodule --quiet sync &&
            git submodule --quiet foreach "$save" &&
            git submodule --quiet update --init &&
            git submodule --quiet foreach "$level"
    }'

# One that was killed while it was cloned has no commit yet, and git would not begin again; one that was
# killed later has its locks. Only what git lists is looked into: in another folder somebody else
# could put a link in the place of what was found there.
drop_half_made_submodules() {
    [ ! -d "$git_dir/modules" ] || git_is_at_work || find "$git_dir/modules" -name '*.lock' -exec rm -f -- {} +
    git ls-files -sz | tr '\n\000' '\035\n' | sed -n "s/^16.*$tab//p" | each_line find_links | while IFS= read -r link; do
        read -r module <"$link"
        case $module in
            "gitdir: "*/modules/*)
                (cd "${link%/.git}" && commit_of HEAD) || rm -f -- "$link"
                ;;
        esac
    done
    [ -d "$git_dir/modules" ] || return 0
    find "$git_dir/modules" -name HEAD -type f | while read -r module; do
        module=${module%/HEAD}
        # A log or a branch may be called HEAD too. A module with branches was cloned to the end once.
        if [ -d "$module/objects" ] && [ -z "$(find "$module/refs/heads" -type f)" ] &&
            ! grep -qs ' refs/heads/' "$module/packed-refs" && ! git --git-dir="$module" rev-parse -q --verify HEAD; then
            rm -rf -- "$module"
        fi
    done
}

find_links() { # folder of a submodule
    find "$1" -name .git -type f
}

# Where a file comes in the place of a submodule, git deletes the submodule's folder with all that is in
# it. On the way back that is what failed steps left there, and it is kept like the rest of it.
stop_if_submodule_is_lost() {
    may_have_submodules || return 0
    git diff-tree -r -z --no-renames --diff-filter=T "$head" "$to" -- >"$state/new"
    [ -s "$state/new" ] || return 0
    filled=$(tr '\n\000' '\035\n' <"$state/new" | sed -n '/^:16/{n;p;}' | each_line tell_filled | head -n 1)
    [ -z "$filled" ] || stop_in_conflict "the submodule $filled has files or edits of its own, where the update has a file"
}

# Without .gitmodules, a clone that was committed as a submodule by mistake.
may_have_submodules() {
    for link in .gitmodules "$git_dir/modules" */.git .[!.]*/.git */*/.git */*/*/.git; do
        [ ! -e "$link" ] || return 0
    done
    return 1
}

tell_filled() {
    is_filled || return 0
    if [ -n "${failed_step-}" ]; then
        mkdir -p -- "$state/made/${file%/*}" && mv -f -- "$file" "$state/made/$file" && return
    fi
    echo "${file#./}"
}

# With a git directory of its own in it (so of a submodule in it, too) there may be commits.
is_filled() {
    [ -d "$file" ] && [ ! -L "$file" ] || return 1
    if [ -f "$file/.git" ] && [ -z "$(find "$file" -mindepth 2 -name .git)" ]; then
        [ -n "$(git -C "$file" status --porcelain --ignored --untracked-files=normal 2>&1)" ]
    else
        [ -n "$(find "$file" -mindepth 1)" ]
    fi
}
