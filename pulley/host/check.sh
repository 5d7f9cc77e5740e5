# shellcheck shell=sh
# Update=check: what a run would do and what the host has.

# Update=check: what a run would do and what the host has. Changes nothing.
look() {
    read_marker
    see_head
    remote=$(within=30 git ls-remote origin "refs/heads/$Branch" 2>&1) || finish unreachable "$(echo "$remote" | reason /dev/stdin)"
    upstream=$(echo "$remote" | sed -nE 's/^([0-9a-f]{40})[[:space:]].*/\1/p')
    [ -n "$upstream" ] || finish missing_commit "the remote has no branch $Branch"
    wanted=${Commit:-$upstream} words='' would_update=false lfs=false head=$seen head_ref=$seen_ref
    find_drift
    [ -z "$(list_removed | tr -d '\000')" ] || drift=files
    [ "$seen" = "$marker_commit" ] && [ "$wanted" = "$marker_upstream" ] ||
        words="would update to $wanted" would_update=true
    ! has git-lfs || lfs=true
    check_git_version
    found_here=$(printf '{"would_update":%s,"owner":"%.64s","git":"%.40s","free_mib":%d,"lfs":%s,"deployed":"%s","drift":"%s"}' \
        $would_update "$(plain "$(id -un)")" "$(plain "$version")" "$(free_space)" $lfs "$marker_upstream" "$drift")
    finish unchanged "$words"
}

free_space() { # MiB
    df -Pm . | tail -n 1 | {
        read -r _ _ _ free _
        echo "$free"
    }
}
