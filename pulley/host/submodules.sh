# shellcheck shell=sh
# Submodules, brought to the commits that are wanted of them.

update_submodules() {
    try_submodules && return 0
    drop_half_made_submodules
    try_submodules && return 0
    step_within env save_commit="$save_commit" a_level="$a_level" sh -c "$a_level"
    try_submodules
}

try_submodules() {
    step_within git submodule --quiet sync --recursive &&
        step_within git submodule --quiet foreach --recursive "$save_commit" &&
        step_within git submodule --quiet update --init --recursive
}

# In a submodule, a commit that is in no branch and no tag would be lost when it moves.
# shellcheck disable=SC2016 # git's own shell expands
save_commit='
    test -z "$(git rev-list -n 1 HEAD --not --branches --tags --remotes --glob=refs/pulley/saved)" ||
        git update-ref "refs/pulley/saved/$(git rev-parse HEAD)" HEAD'

# Where git refuses the .gitmodules of a submodule's own, it goes no further from there; so here each is
# brought to its commit before it is looked into.
# shellcheck disable=SC2016 # the inner shell expands
a_level='
    test ! -f .gitmodules || {
        git submodule --quiet sync &&
            git submodule --quiet foreach "$save_commit" &&
            git submodule --quiet update --init &&
            git submodule --quiet foreach "$a_level"
    }'

# One that was killed while it was cloned has no commit yet, and git would not begin again.
drop_half_made_submodules() {
    find . -name .git -type f | while read -r link; do
        read -r module <"$link"
        case $module in
            "gitdir: "*.git/modules/*)
                git -C "${link%/.git}" rev-parse -q --verify HEAD >>"$log" 2>&1 || rm -f -- "$link"
                ;;
        esac
    done
    [ -d "$common_dir/modules" ] || return 0
    find "$common_dir/modules" -name HEAD -type f | while read -r module; do
        git --git-dir="${module%/HEAD}" rev-parse -q --verify HEAD >>"$log" 2>&1 || rm -rf -- "${module%/HEAD}"
    done
}
