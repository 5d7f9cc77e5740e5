# shellcheck shell=sh
# Update=check: report what a run would do and what the host has.

# It changes nothing.
look() {
    read_marker
    see_head
    remote_refs=$(time_limit=30 git ls-remote origin "$remote_ref" "$remote_ref^{}" 2>&1) || finish unreachable "$(echo "$remote_refs" | git_reason /dev/stdin)"
    # A line with ^{} follows that of an annotated tag: it has the commit.
    while read -r one_commit this_ref; do
        case $this_ref in "$remote_ref" | "$remote_ref^{}") upstream_commit=$one_commit ;; esac
    done <<EOF
$remote_refs
EOF
    [ "$upstream_commit" ] || finish missing_commit "the remote has no $follows $branch_name"
    wanted=${asked_commit:-$upstream_commit} words='' would_move=false lfs=false head_commit=$seen head_ref=$seen_ref
    find_drift
    [ -z "$(list_removed | tr -d '\000')" ] || drift_found=files
    find_unfinished
    [ "$seen" = "$marker_commit" ] && [ "$wanted" = "$marker_upstream" ] ||
        words="would update to $wanted" would_move=true
    ! has_program git-lfs || lfs=true
    check_git_version
    more_fields=$(printf ',"found":{"would_update":%s,"owner":"%.64s","git":"%.40s","free_mib":%d,"lfs":%s,"deployed":"%s","drift":"%s","unfinished":"%s"}' \
        $would_move "$(as_plain "$(id -un)")" "$(as_plain "$found_version")" "$(free_space)" $lfs "$marker_upstream" "$drift_found" "$left_undone")
    finish unchanged "$words"
}

# Set `left_undone` to the file that shows what a killed run or another git has not ended; to "marker" if
# HEAD has commits of the branch whose steps are not done; to "" if all has ended, or a run or a git is
# still at work.
find_unfinished() {
    left_undone=''
    for this_name in index.lock HEAD.lock rebase-merge rebase-apply MERGE_HEAD REVERT_HEAD CHERRY_PICK_HEAD BISECT_LOG sequencer; do
        [ ! -e "$git_dir/$this_name" ] || left_undone=$this_name
    done
    base_commit=$(git merge-base HEAD "$upstream_ref" 2>/dev/null)
    [ "$base_commit" = "$marker_upstream" ] || ! is_ancestor "$marker_upstream" "$base_commit" || left_undone=marker
    for this_name in moving begun; do
        [ ! -s "$state/$this_name" ] || left_undone=$this_name
    done
    if [ "$left_undone" ] && { git_is_at_work || { [ -f "$state/lock" ] && ! flock -n "$state/lock" true; }; }; then
        left_undone=''
    fi
}

free_space() { # MiB
    df -Pm . | tail -n 1 | {
        read -r _ _ _ free _
        echo "$free"
    }
}
