# shellcheck shell=sh
# Drift: somebody has moved the checkout since the last run. A run brings it back.

# Leave in `drift_found` what was moved: "head", "branch" or "files"; "" if nothing was. Local commits are no
# drift, and may be changed or dropped.
# If steps began and did not end, there is no drift: then this script itself left HEAD there.
find_drift() {
    [ "$marker_commit" ] && [ "$target_name" = "$marker_target" ] && [ ! -s "$state/begun" ] || return 0
    # The link is gone.
    case $release_settings:$this_release:$marker_steps in [1-9]*::*'|releases'*) drift_found='head' ;; esac
    case $head_ref in
        "$local_ref" | HEAD) ;;
        *) drift_found=branch ;;
    esac
    [ "$head_commit" = "$marker_commit" ] || { is_ancestor "$marker_upstream" "$head_commit" && ! is_past_commit; } || drift_found='head'
}

# Whether somebody pulled commits of the branch that the run will take away. That person may have built or
# started them, so the steps must run again even if the marker has Commit. A tag has no such commits: any
# commit that is not the tag's was brought here by somebody.
is_past_commit() {
    [ "$goes_to_commit" ] || return
    [ $follows = branch ] || {
        [ "$head_commit" != "${asked_commit:-$upstream_commit}" ]
        return
    }
    [ "$(git rev-list -n 1 "$(git merge-base "$head_commit" "$upstream_ref")" --not "$asked_commit" "$marker_upstream" --)" ]
}

# List files that were removed, but not by `git rm`. The commit has them, so no edit is lost.
list_removed() {
    list_differing --diff-filter=D | each_file name_if is_removed
}

is_removed() {
    ! is_beyond -L && ! is_beyond -f
}

bring_files_back() {
    list_removed >"$state/new"
    time_to_move # a filter can hang
    [ ! -s "$state/new" ] || ! time_limit=$time_left git checkout-index -q -z --stdin <"$state/new" || drift_found=files
}
