# shellcheck shell=sh
# The update: choose the move that brings the checkout to the wanted commit.

# Fetched is not deployed: the marker is written after the last step.
stop_if_done() {
    # The others are there only if they are set, as in the markers of older releases.
    step_settings="$after_pull_program|$restart_units|$health_url${before_restart_program:+|before $before_restart_program}${after_healthy_program:+|after $after_healthy_program}${release_settings:+|releases$shared_paths}"
    commits_on_top=0
    [ -z "$goes_to_commit" ] || upstream_commit=$asked_commit
    if [ "$update_mode" = exact ] || [ "$release_settings" ]; then
        [ "$head_ref" = HEAD ] || return 0
    else
        [ "$head_ref" = "$local_ref" ] || return 0
    fi
    if [ "$head_commit" = "$marker_commit" ] && [ "$upstream_commit" = "$marker_upstream" ] && is_deployed_here; then
        commit_after=$head_commit
        [ "$head_commit" = "$upstream_commit" ] || count_commits "$upstream_commit..$head_commit"
        if [ "$update_mode" != reset ] || [ "$commits_on_top" -eq 0 ]; then
            finish "${other_outcome:-unchanged}"
        fi
    fi
}

update() {
    if [ "$release_settings" ]; then
        release_before=$this_release commit_after=$upstream_commit
        # Local commits on top stay until there is something new.
        [ "$drift_found$commit_after" != "$marker_commit" ] || ! is_deployed_here || finish "${other_outcome:-unchanged}"
        return
    fi
    case $update_mode in
        exact)
            save_commits "$head_commit"
            move_to save "$asked_commit" --detach
            ;;
        reset)
            save_commits "$head_commit"
            [ -z "$branch_tip" ] || [ "$branch_tip" = "$head_commit" ] || save_commits "$branch_tip"
            move_to save "$upstream_commit" -B "$branch_name"
            ;;
        *)
            [ "$head_ref" != HEAD ] || save_commits "$head_commit"
            update_by_rebase "${branch_tip:-$upstream_commit}"
            ;;
    esac
}

update_by_rebase() { # branch's commit
    base_commit=$1 commits_on_top=0
    [ "$1" = "$upstream_commit" ] || [ "$1" = "$marker_upstream" ] || find_base "$1"
    if [ "$commits_on_top" -eq 0 ]; then
        arrive "$upstream_commit"
    elif [ -z "$base_commit" ]; then
        stop_in_conflict "$branch_name and its upstream have no commit in common"
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
        move_to carry "$1" -B "$branch_name"
    fi
}
