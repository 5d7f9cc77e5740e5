# shellcheck shell=sh
# HEAD, the branch and its upstream, and the commits between them.

look_at_refs() {
    see_head
    head_commit=${seen:-$text_line} head_ref=$seen_ref commit_before=${commit_before:-$head_commit} branch_tip='' upstream_commit=$asked_commit
    is_commit "$head_commit" || refuse 'the checkout has no commit yet: clone it again'
    [ "$seen" ] || rm -rf .git.pulley* # of killed runs
    [ $follows = branch ] || return 0
    [ "$head_ref" = "$local_ref" ] || see_ref "$local_ref"
    branch_tip=$seen
    see_ref "$upstream_ref"
    upstream_commit=$seen
}

# Leave HEAD's commit in `seen`, "" if it has none, and its branch's ref in `seen_ref`, or HEAD if detached.
see_head() {
    read_line "$git_dir/HEAD"
    seen_ref=${text_line#ref: }
    if [ "$seen_ref" = "$text_line" ]; then
        seen_ref=HEAD
        see_commit HEAD
    else
        see_ref "$seen_ref"
    fi
}

# Leave a ref's commit in `seen`. Read its file if it has one, because that takes no process.
see_ref() { # ref
    read_line "$common_dir/$1"
    see_commit "$1"
}

see_commit() { # ref, whose file has `text_line`
    seen=$text_line
    is_commit "$seen" || seen=$(commit_of "$1")
    [ "$seen" != $no_commit ] || seen=''
}

is_commit() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 40 ]
}

commit_of() { # revision; prints nothing if it does not exist
    git rev-parse -q --verify "$1"
}

read_line() { # file; leaves its first line in `text_line`
    text_line=''
    [ ! -f "$1" ] || read -r text_line <"$1"
}

# Whether the run can go on with what was fetched: the branch contains the commit; or the run goes to the
# commit, which was deployed here before; or the run goes to the tip, and the branch was rewritten without the
# commit. Then the tip replaces it: `superseded`.
has_commit() {
    other_outcome=''
    [ "$asked_commit" ] && [ "$asked_commit" != "$upstream_commit" ] || return 0
    git cat-file -e "$asked_commit^{commit}" || return 1
    ! is_ancestor "$asked_commit" "$upstream_commit" || return 0
    if [ "$goes_to_commit" ]; then
        was_deployed
        return
    fi
    # A replica of the remote answered that lacks this commit yet: fetch again.
    ! is_ancestor "$upstream_commit" "$asked_commit" || return 1
    other_outcome=superseded
}

is_ancestor() {
    git merge-base --is-ancestor "$1" "$2"
}

was_deployed() {
    [ "$(git for-each-ref --contains "$asked_commit" refs/pulley/deployed)" ]
}

# Find the commit below the local commits, and count them. Upstream may have been rewritten. Upstream's reflog
# still has the tip that the local commits were made on; the marker has the tip that was deployed last. If the
# run does not go to the tip, commits between its commit and the tip are not local either.
find_base() { # commit
    base_commit=$(git merge-base --fork-point "$upstream_ref" "$1") || base_commit=$(git merge-base "$1" "$upstream_commit" "$upstream_ref") || base_commit=''
    if [ "$marker_upstream" ] && is_ancestor "$marker_upstream" "$1" &&
        { [ -z "$base_commit" ] || is_ancestor "$base_commit" "$marker_upstream"; }; then
        base_commit=$marker_upstream
    fi
    count_commits "${base_commit:+$base_commit..}$1"
}

count_commits() { # range
    commits_on_top=$(git rev-list --count "$1" --)
}

# Save local commits under a ref if they are about to leave the branch, or are in no branch.
save_commits() { # commit
    [ "$1" != $no_commit ] || return 0
    # A tag's commit may be in no branch. If its steps did not end, the marker does not name it, and it
    # would count as a local commit; `begun` names it.
    read_line "$state/begun"
    [ $follows = branch ] || [ "$1" != "$text_line" ] || return 0
    ! local_ones=$(git rev-list -n 1 "$1" --not "$upstream_commit" --remotes --) || [ "$local_ones" ] || return 0
    find_base "$1"
    [ "${commits_on_top:-1}" -gt 0 ] || return 0 # if they cannot be counted, save them
    commits_on_top=0
    save_or_stop "$1" commits
}

save_or_stop() { # commit what
    keep_commit "$1" || stop_in_conflict "cannot save the local $2: $(git_reason)"
    saved_ref=$this_ref
}

# Save a commit that must not be lost under a new ref, and leave the ref's name in `this_ref`.
keep_commit() { # commit
    refs_kept=$((refs_kept + 1))
    this_ref=refs/pulley/saved/$(date -u +%Y%m%dT%H%M%SZ)-$$-$refs_kept
    git update-ref "$this_ref" "$1" '' 2>"$errors" || return # '': it must be new
    echo "$this_ref" >>"$state/kept" || true
}
