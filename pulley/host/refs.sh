# shellcheck shell=sh
# Where HEAD, the branch and its upstream are, and what lies between them.

look_at_refs() {
    see_head
    [ -n "$seen" ] || refuse "the checkout has no commit yet: clone it again"
    head=$seen head_ref=$seen_ref before=${before:-$seen}
    [ "$head_ref" = "$local_ref" ] || see_ref "$local_ref"
    tip=$seen
    see_ref "$upstream_ref"
    upstream=$seen
}

# Where HEAD is now: the commit in `seen`, "" without one, and the branch's ref in `seen_ref`, else HEAD.
see_head() {
    read_line "$git_dir/HEAD"
    seen_ref=${line#ref: }
    if [ "$seen_ref" = "$line" ]; then
        seen_ref=HEAD
        see_commit HEAD
    else
        see_ref "$seen_ref"
    fi
}

# A ref's commit in `seen`: from its file where it has one of its own, since that takes no process.
see_ref() { # ref
    read_line "$common_dir/$1"
    see_commit "$1"
}

see_commit() { # ref, whose file has `line`
    seen=$line
    is_commit "$seen" || seen=$(commit_of "$1")
}

is_commit() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 40 ]
}

commit_of() { # revision; prints nothing where there is none
    git rev-parse -q --verify "$1"
}

read_line() { # file; leaves its first line in `line`
    line=''
    [ ! -f "$1" ] || read -r line <"$1"
}

# The commit is in what was fetched; or it is known, but on a line that the branch has left.
has_commit() {
    superseded=''
    [ -n "$Commit" ] && [ "$Commit" != "$upstream" ] || return 0
    git cat-file -e "$Commit^{commit}" || return 1
    ! is_ancestor "$Commit" "$upstream" || return 0
    if [ "$Update" = exact ]; then
        was_deployed
        return
    fi
    ! is_ancestor "$upstream" "$Commit" || return 1 # the remote's replicas lag
    superseded=superseded
}

is_ancestor() {
    git merge-base --is-ancestor "$1" "$2"
}

was_deployed() {
    [ -n "$(git for-each-ref --contains "$Commit" refs/pulley/deployed)" ]
}

# Where local commits begin, and how many there are. Upstream may have been rewritten since, so its
# reflog is asked for the tip that they were made on, and the marker for the one deployed last.
find_base() { # commit
    base=$(git merge-base --fork-point "$upstream_ref" "$1") || base=$(git merge-base "$upstream" "$1") || base=''
    if [ -n "$marker_upstream" ] && is_ancestor "$marker_upstream" "$1" &&
        { [ -z "$base" ] || is_ancestor "$base" "$marker_upstream"; }; then
        base=$marker_upstream
    fi
    count_commits "${base:+$base..}$1"
}

count_commits() { # range
    local_commits=$(git rev-list --count "$1" --)
}

# Local commits that leave the branch, or that no branch has, stay under a ref.
save_commits() { # commit
    ! commits=$(git rev-list -n 1 "$1" --not "$upstream" --remotes --) || [ -n "$commits" ] || return 0
    find_base "$1"
    [ "${local_commits:-1}" -gt 0 ] || return 0 # what cannot be counted is something
    local_commits=0
    keep "$1" || stop_in_conflict "cannot save the local commits: $(git_reason)"
    saved=$ref
}

# What must not be lost stays under a new ref, whose name it leaves in `ref`.
keep() { # commit
    saved_refs=$((saved_refs + 1))
    ref=refs/pulley/saved/$(date -u +%Y%m%dT%H%M%SZ)-$$-$saved_refs
    git update-ref "$ref" "$1" 0000000000000000000000000000000000000000 2>"$errors" || return
    echo "$ref" >>"$state/kept" || true
}
