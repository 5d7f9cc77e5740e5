# shellcheck shell=sh
# The update: choose the move that brings the checkout to the wanted commit.

# Fetched is not deployed: the marker is written after the last step.
stop_if_done() {
    steps="$AfterPull|$Restart|$HealthCheck"
    local_commits=0
    if [ "$Update" = exact ]; then
        upstream=$Commit
        [ "$head_ref" = HEAD ] || return 0
    else
        [ "$head_ref" = "$local_ref" ] || return 0
    fi
    if [ "$head" = "$marker_commit" ] && [ "$upstream" = "$marker_upstream" ] && is_deployed_here; then
        after=$head
        [ "$head" = "$upstream" ] || count_commits "$upstream..$head"
        if [ "$Update" != reset ] || [ "$local_commits" -eq 0 ]; then
            finish "${superseded:-unchanged}"
        fi
    fi
}

update() {
    case $Update in
        exact)
            save_commits "$head"
            move save "$Commit" --detach
            ;;
        reset)
            save_commits "$head"
            [ -z "$tip" ] || [ "$tip" = "$head" ] || save_commits "$tip"
            move save "$upstream" -B "$Branch"
            ;;
        *)
            [ "$head_ref" != HEAD ] || save_commits "$head"
            update_by_rebase "${tip:-$upstream}"
            ;;
    esac
}

update_by_rebase() { # branch's commit
    base=$1 local_commits=0
    [ "$1" = "$upstream" ] || [ "$1" = "$marker_upstream" ] || find_base "$1"
    if [ "$local_commits" -eq 0 ]; then
        arrive "$upstream"
    elif [ -z "$base" ]; then
        stop_in_conflict "$Branch and its upstream have no commit in common"
    elif is_ancestor "$base" "$upstream" && is_ancestor "$upstream" "$1"; then # upstream has nothing new
        arrive "$1"
    else
        rebase "$base"
        after=$(git rev-parse HEAD)
        count_commits "$upstream..HEAD"
    fi
}

arrive() { # commit
    after=$1
    if [ "$head_ref" != "$local_ref" ] || [ "$head" != "$1" ]; then
        move carry "$1" -B "$Branch"
    fi
}
