# shellcheck shell=sh
# Update=check: what a run would do and what the host has.

# Update=check: what a run would do and what the host has. Changes nothing.
look() {
    read_marker
    check_remote
    head=$(git rev-parse -q --verify HEAD)
    before=$head after=$head
    remote=$(within=30 git ls-remote origin "refs/heads/$Branch" 2>&1) || finish unreachable "$(echo "$remote" | reason /dev/stdin)"
    upstream=$(echo "$remote" | sed -n 's/^\([0-9a-f]\{40\}\)[[:space:]].*/\1/p')
    [ -n "$upstream" ] || finish missing_commit "the remote has no branch $Branch"
    would="nothing to do"
    if [ "$head" != "$marker_commit" ] || [ "${Commit:-$upstream}" != "$marker_upstream" ]; then
        would="would update to ${Commit:-$upstream}"
    fi
    read -r name <<EOF
$(id -un)
EOF
    free=$(free_space)
    lfs=no
    ! command -v git-lfs >/dev/null || lfs=yes
    check_git_version
    finish unchanged "$would; owner $name; $(git --version); $free MiB free; git-lfs: $lfs"
}

free_space() { # MiB
    df -Pm . | while read -r _ _ _ free _; do echo "$free"; done | tail -n 1
}
