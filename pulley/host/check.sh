# shellcheck shell=sh
# Update=check: what a run would do and what the host has.

# Update=check: what a run would do and what the host has. Changes nothing.
look() {
    read_marker
    head=$(git rev-parse -q --verify HEAD)
    before=$head after=$head
    remote=$(within=30 git ls-remote origin "refs/heads/$Branch" 2>&1) || finish unreachable "$(echo "$remote" | reason /dev/stdin)"
    upstream=$(echo "$remote" | sed -n 's/^\([0-9a-f]\{40\}\)[[:space:]].*/\1/p')
    [ -n "$upstream" ] || finish missing_commit "the remote has no branch $Branch"
    would=''
    if [ "$head" != "$marker_commit" ] || [ "${Commit:-$upstream}" != "$marker_upstream" ]; then
        would=${Commit:-$upstream}
    fi
    read -r name <<EOF
$(id -un)
EOF
    free=$(free_space)
    lfs=false
    ! command -v git-lfs >/dev/null || lfs=true
    check_git_version
    seen_here="{\"would_update\":$([ -z "$would" ] && echo false || echo true),\"owner\":\"$(plain "$name" | cut -c1-64)\""
    seen_here="$seen_here,\"git\":\"$(plain "$version" | cut -c1-40)\",\"free_mib\":${free:-0},\"lfs\":$lfs}"
    finish unchanged "${would:+would update to $would}"
}

free_space() { # MiB
    df -Pm . | while read -r _ _ _ free _; do echo "$free"; done | tail -n 1
}
