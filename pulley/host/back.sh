# shellcheck shell=sh
# The way back after a failed step: to the last deployed commit, with its steps.

roll_back() {
    failed_step=$step_name failed_words=$words failed=$commit_after
    echo "== $step_name failed: $words"
    [ "$marker_commit" ] && [ "$marker_commit$release_before" != "$commit_after$this_release" ] ||
        finish broken "$failed_words; no other commit was deployed here to go back to"
    echo "== rolling back to $marker_commit"
    kept_for_going_back=0
    refused_as=broken
    if [ "$release_settings" ]; then
        leave_failed_release
    else
        take_back_update
    fi
    commit_after=$marker_commit
    count_commits "$marker_upstream..$commit_after"
    if run_steps "$commit_after" "$failed" rollback; then
        stop_if_moved
        true >"$state/begun"
        step_name=$failed_step
        finish rolled_back "$failed_words"
    fi
    finish broken "$failed_words; and going back: $step_name: $words"
}

# Move the checkout back. What the failed steps made is moved away.
take_back_update() {
    # Save local commits that were not deployed before: no branch will have them.
    if ! words=$(git rev-list -n 1 --cherry-pick --right-only "$marker_commit...$commit_after" --not "$upstream_commit" --) || [ "$words" ]; then
        save_or_stop "$commit_after" commits
    fi
    root_owns_folders "$marker_commit"
    # Move away what the steps made, and keep it until the next roll back. Older files are a conflict.
    rm -rf "$state/made"
    remove_added "$commit_after" "$marker_commit" "$state/begun" "$state/made"
    head_commit=$commit_after
    if [ "$update_mode" = exact ]; then
        head_ref=HEAD # the move has detached it: after a kill the branch must not be moved
        set -- --detach
    else
        head_ref=$local_ref branch_tip=$commit_after
        set -- -B "$branch_name"
    fi
    move_to carry "$marker_commit" "$@"
}
