# shellcheck shell=sh
# Where HEAD, the branch and its upstream are, and what lies between them.

look_at_refs() {
    if read_ref_files; then
        :
    elif refs=$(git rev-parse HEAD "$upstream_ref" "$local_ref" --symbolic-full-name HEAD 2>/dev/null); then
        # shellcheck disable=SC2086 # four words, none of them with a space
        set -- $refs
        head=$1 upstream=$2 tip=$3 head_ref=$4
    else # no local branch yet
        tip=''
        upstream=$(git rev-parse -q --verify "$upstream_ref")
        head=$(git rev-parse -q --verify HEAD) || finish no_checkout "the checkout has no commit yet: clone it again"
        head_ref=$(git rev-parse --symbolic-full-name HEAD)
    fi
    before=${before:-$head}
}

# The common case, without a process: on the branch, and each ref in a file of its own.
read_ref_files() {
    [ -f "$git_dir/HEAD" ] && [ -f "$common_dir/$local_ref" ] && [ -f "$common_dir/$upstream_ref" ] || return 1
    read -r head_ref <"$git_dir/HEAD"
    [ "$head_ref" = "ref: $local_ref" ] || return 1
    head_ref=$local_ref
    read -r tip <"$common_dir/$local_ref" && read -r upstream <"$common_dir/$upstream_ref" || return 1
    case $tip$upstream in *[!0-9a-f]*) return 1 ;; esac
    [ ${#tip} -eq 40 ] && [ ${#upstream} -eq 40 ] || return 1
    head=$tip
}

# Where HEAD is now, in `seen`: from the files, without a process, where that can be done.
see_head() {
    seen=''
    [ ! -f "$git_dir/HEAD" ] || read -r seen <"$git_dir/HEAD"
    case $seen in "ref: "*)
        seen_ref=${seen#ref: } seen=''
        [ ! -f "$common_dir/$seen_ref" ] || read -r seen <"$common_dir/$seen_ref"
        ;;
    esac
    case $seen in *[!0-9a-f]*) seen='' ;; esac
    [ ${#seen} -eq 40 ] || seen=$(git rev-parse -q --verify HEAD 2>/dev/null) || seen=''
}

# The commit is in what was fetched; or it is known, but on a line that the branch has left.
has_commit() {
    superseded=''
    [ -n "$Commit" ] && [ "$Commit" != "$upstream" ] || return 0
    git cat-file -e "$Commit^{commit}" 2>/dev/null || return 1
    if git merge-base --is-ancestor "$Commit" "$upstream"; then
        return 0
    fi
    if [ "$Update" = exact ]; then
        [ -n "$(git for-each-ref --contains "$Commit" refs/pulley/deployed)" ]
        return
    fi
    if git merge-base --is-ancestor "$upstream" "$Commit"; then
        return 1 # the remote's replicas lag
    fi
    superseded=superseded
}

is_ancestor() {
    git merge-base --is-ancestor "$1" "$2" 2>>"$log"
}

# Where local commits begin, and how many there are. Upstream may have been rewritten since, so its
# reflog is asked for the tip that they were made on, and the marker for the one deployed last.
find_base() { # commit
    base=$(git merge-base --fork-point "$upstream_ref" "$1") || base=$(git merge-base "$upstream" "$1") || base=''
    if [ -n "$marker_upstream" ] && git merge-base --is-ancestor "$marker_upstream" "$1" 2>/dev/null &&
        { [ -z "$base" ] || git merge-base --is-ancestor "$base" "$marker_upstream"; }; then
        base=$marker_upstream
    fi
    local_commits=$(git rev-list --count "${base:+$base..}$1" --)
}

# Local commits that leave the branch, or that no branch has, stay under a ref.
save_commits() { # commit
    [ -n "$(git rev-list -n 1 "$1" --not "$upstream" --remotes --)" ] || return 0
    find_base "$1"
    [ "$local_commits" -gt 0 ] || return 0
    local_commits=0
    name_saved_ref
    saved=$ref
    git update-ref "$saved" "$1" || finish conflict "cannot save the local commits"
}

# A new name under which to keep what must not be lost.
name_saved_ref() {
    saved_refs=$((saved_refs + 1))
    ref=refs/pulley/saved/$(date -u +%Y%m%dT%H%M%SZ)-$$-$saved_refs
}
