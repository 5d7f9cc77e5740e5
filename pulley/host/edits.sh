# shellcheck shell=sh
# Local edits: into a commit, out of the work tree, and back.

# All that is edited goes into the commit `edits`, "" without any. Left out of it are files beyond a
# link that someone put in a folder's place, and files that git calls modified though they are just as
# git writes them (line endings, filters): those are nobody's edit.
find_edits() {
    true >"$state/linked" && true >"$state/nobodys" || finish conflict "cannot write below $state"
    create_stash || { refresh_index && create_stash; } || create_stash_beside_links || finish conflict "$(why_not_saved)"
    [ -n "$edits" ] || return 0
    list_nobodys
    [ ! -s "$state/nobodys" ] || create_stash_without "$state/linked" "$state/nobodys" || finish conflict "$(why_not_saved)"
}

create_stash() {
    edits=$(git stash create "pulley: edits on $Target" 2>"$state/git.err")
}

# Where a file was touched and not changed, git's stash fails without a word.
refresh_index() {
    git update-index -q --refresh >>"$log" 2>&1 || true
}

create_stash_without() { # files of names
    edits=$(
        cp "$git_dir/index" "$state/index" || exit
        # shellcheck disable=SC2031 # of this subshell
        export GIT_INDEX_FILE="$state/index"
        cat -- "$@" | git update-index -z --skip-worktree --stdin 2>"$state/git.err" &&
            git stash create "pulley: edits on $Target" 2>"$state/git.err"
    )
    set -- $?
    rm -f "$state/index"
    return "$1"
}

# A folder of shared data is often linked in where the repository has a folder of its own.
create_stash_beside_links() {
    grep -q "beyond a symbolic link" "$state/git.err" || return 1
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-files -z --name-only --diff-filter=D |
        xargs -0 -r sh -c "$is_beyond_link"' for file; do ! is_beyond_link || printf "%s\0" "$file"; done' sh >"$state/linked"
    [ -s "$state/linked" ] && create_stash_without "$state/linked"
}

# Files in which git sees a change, though what it would write there is what stands there.
list_nobodys() {
    # shellcheck disable=SC2016 # the inner shell expands
    git -c core.fileMode=false diff-files -z --name-only --diff-filter=M --ignore-submodules=all |
        xargs -0 -r sh -c "$differs"' for file; do differs || printf "%s\0" "$file"; done' sh >"$state/nobodys"
}

# The first file that is not as git would write it; "" where all are.
find_unlike() {
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-files -z --name-only --ignore-submodules=all |
        xargs -0 -r sh -c "$differs$is_beyond_link"' for file; do is_beyond_link || ! differs || echo "$file"; done' sh |
        head -n 1
}

# Whether `file` differs from what git would write for the index's entry, its mode included.
# shellcheck disable=SC2016 # the inner shell expands
differs='
    differs() {
        [ -z "$(git diff-files --summary -- ":(literal)$file")" ] || return 0
        if [ -L "./$file" ]; then
            [ "$(readlink "./$file")" != "$(git cat-file -p ":$file")" ]
        else
            [ ! -f "./$file" ] || ! git cat-file --filters ":$file" | cmp -s - "./$file"
        fi
    }
'

# Whether a link stands in the place of one of the folders that `file` is in.
# shellcheck disable=SC2016 # the inner shell expands
is_beyond_link='
    is_beyond_link() {
        folder=$file
        while [ "$folder" != "${folder%/*}" ]; do
            folder=${folder%/*}
            [ ! -L "./$folder" ] || return 0
        done
        return 1
    }
'

stop_if_a_link_is_in_the_way() {
    [ -s "$state/linked" ] || return 0
    # shellcheck disable=SC2033 # git itself
    changed=$(xargs -0 git --literal-pathspecs diff --name-only "$head" "$to" -- <"$state/linked" | head -n 1)
    [ -z "$changed" ] || finish conflict "the update changes $changed, and a link stands in the place of its folder"
}

# Git takes a file that it calls modified for an edit that is in the way. One that is nobody's edit is
# away while the checkout moves, and written again by git.
take_nobodys_away() {
    [ -n "$edits" ] || [ -s "$state/nobodys" ] || return 0
    list_nobodys
    xargs -0 -r rm -f -- <"$state/nobodys"
}

bring_nobodys_back() {
    [ ! -s "$state/nobodys" ] || git checkout-index -q -f -z --stdin <"$state/nobodys" >>"$log" 2>&1 || true
}

why_not_saved() {
    unmerged=$(git diff --name-only --diff-filter=U | head -n 1)
    half_added=$(git diff --name-only --diff-filter=A | head -n 1)
    linked=$(tr '\000' '\n' <"$state/linked" | head -n 1)
    if [ -n "$linked" ]; then
        echo "$linked is tracked, and a link stands in the place of its folder: $(reason "$state/git.err")"
    elif [ -n "$unmerged" ]; then
        echo "someone is in the middle of a merge here: $unmerged is in conflict"
    elif [ -n "$half_added" ]; then
        echo "$half_added is only half added (git add -N): add it or reset it"
    else
        reason "$state/git.err"
    fi
}

# The first untracked thing that stands where HEAD has a file: no commit can hold it.
find_replaced() {
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-index -z --no-renames --diff-filter=D --name-only HEAD -- | xargs -0 -r sh -c '
        links_are_known=$1
        shift
        for file; do
            path=. rest=$file/
            while [ -n "$rest" ]; do
                path=$path/${rest%%/*} rest=${rest#*/}
                [ -d "$path" ] && [ ! -L "$path" ] || break
            done
            [ -z "$links_are_known" ] || [ -z "$rest" ] || [ ! -L "$path" ] || continue
            [ -e "$path" ] || [ -L "$path" ] || continue
            git --literal-pathspecs -c core.fsmonitor=false ls-files -o -- "$path"
        done' sh "$([ ! -s "$state/linked" ] || echo yes)" 2>>"$log" | head -n 1
}

put_back() { # commit ref
    if git stash apply -q --index "$1" >>"$log" 2>&1; then
        git update-ref -d "$2"
        return
    fi
    reset_hard HEAD
    if ! git stash apply -q "$1" >>"$log" 2>&1; then
        reset_hard HEAD
        saved=$2
    elif git diff --quiet "$1^2" "$1" -- || git diff --quiet "$1^1" "$1^2" --; then
        git update-ref -d "$2"
    else
        saved=$2 # what was staged was neither of what is in the work tree and in the commit
    fi
}

# Index and work tree as in a commit. What someone told git to leave alone ("assume unchanged", often
# a host's own settings) stays as it is: such files are marked in the way that git minds here.
reset_hard() { # commit
    {
        git ls-files -v -z | tr '\n\000' '\001\n' | sed -n 's/^h //p' | tr '\n\001' '\000\n'
        [ ! -s "$state/linked" ] || cat "$state/linked"
    } >"$state/assumed"
    [ ! -s "$state/assumed" ] || git update-index -z --skip-worktree --stdin <"$state/assumed"
    git reset -q --hard "$1" -- >>"$log" 2>&1
    status=$?
    [ ! -s "$state/assumed" ] || git update-index -z --no-skip-worktree --stdin <"$state/assumed" >>"$log" 2>&1
    return $status
}
