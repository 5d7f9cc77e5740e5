# shellcheck shell=sh
# Drift: what somebody has moved in the checkout since the last run, and a run brings back.

# Leaves in `drift` what was moved: "head", "branch" or "files"; "" for none. Local commits are no
# drift, and whoever made them may change or drop them.
# Not where steps did not come to their end: then this script left HEAD where it is.
find_drift() {
    [ -n "$marker_commit" ] && [ "$Target" = "$marker_target" ] && [ ! -s "$state/begun" ] || return 0
    case $head_ref in
        "$local_ref" | HEAD) ;;
        *) drift=branch ;;
    esac
    [ "$head" = "$marker_commit" ] || is_ancestor "$marker_upstream" "$head" || drift='head'
}

# Files that were removed, and not by `git rm`: an edit of nobody's, since the commit has them.
list_removed() {
    git diff-files -z --name-only --diff-filter=D --ignore-submodules=all | each name_if is_removed
}

is_removed() {
    ! is_beyond -L && ! is_beyond -f
}

bring_files_back() {
    list_removed >"$state/new"
    time_to_move # a filter can hang
    [ ! -s "$state/new" ] || ! within=$left git checkout-index -q -z --stdin <"$state/new" || drift=files
}
