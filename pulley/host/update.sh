# shellcheck shell=sh
# The update: choose the move that brings the checkout to the wanted commit.

# Fetched is not deployed: the marker is written after the last step.
stop_if_done() {
    # The others are there only if they are set, as in the markers of older releases.
    step_settings="$AfterPull|$Restart|$HealthCheck${BeforeRestart:+|before $BeforeRestart}${AfterHealthy:+|after $AfterHealthy}"
    commits_on_top=0
    [ -z "$goes_to_commit" ] || upstream_commit=$Commit
    if [ "$Update" = exact ]; then
        [ "$head_ref" = HEAD ] || return 0
    else
        [ "$head_ref" = "$local_ref" ] || return 0
    fi
    if [ "$head_commit" = "$marker_commit" ] && [ "$upstream_commit" = "$marker_upstream" ] && is_deployed_here; then
        commit_after=$head_commit
        [ "$head_commit" = "$upstream_commit" ] || count_commits "$upstream_commit..$head_commit"
        if [ "$Update" != reset ] || [ "$commits_on_top" -eq 0 ]; then
            finish "${other_outcome:-unchanged}"
        fi
    fi
}

update() {
    case $Update in
        exact)
            save_commits "$head_commit"
            move save "$Commit" --detach
            ;;
        reset)
            save_commits "$head_commit"
            [ -z "$tip" ] || [ "$tip" = "$head_commit" ] || save_commits "$tip"
            move save "$upstream_commit" -B "$Branch"
            ;;
        *)
            [ "$head_ref" != HEAD ] || save_commits "$head_commit"
            update_by_rebase "${tip:-$upstream_commit}"
            ;;
    esac
}

update_by_rebase() { # branch's commit
    base_commit=$1 commits_on_top=0
    [ "$1" = "$upstream_commit" ] || [ "$1" = "$marker_upstream" ] || find_base "$1"
    if [ "$commits_on_top" -eq 0 ]; then
        arrive "$upstream_commit"
    elif [ -z "$base_commit" ]; then
        stop_in_conflict "$Branch and its upstream have no commit in common"
    elif is_ancestor "$base_commit" "$upstream_commit" && is_ancestor "$upstream_commit" "$1"; then # upstream has nothing new
        arrive "$1"
    else
        rebase "$base_commit"
        commit_after=$(git rev-parse HEAD)
        count_commits "$upstream_commit..HEAD"
    fi
}

arrive() { # commit
    commit_after=$1
    if [ "$head_ref" != "$local_ref" ] || [ "$head_commit" != "$1" ]; then
        move carry "$1" -B "$Branch"
    fi
}
