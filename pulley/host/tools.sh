# shellcheck shell=sh
# Check the host's tools and the commit's files before anything moves.

# Look for what a step will need, and for what would stop it, before anything moves.
check_tools() {
    [ "$marker_commit" ] || check_git_version # else an earlier run has checked it
    [ -z "$health_url" ] || has_program curl || has_program wget || refuse 'the health check needs curl or wget'
    check_drain
    root_owns_folders "$upstream_commit"
    root_owns_folders "$marker_commit"
    uses_lfs=''
    listed_files=$(git grep --threads=1 -l -G --no-color -e . "$upstream_commit" -- ':(glob)**/.gitattributes' .gitmodules)
    case $listed_files in *.gitattributes*) check_lfs ;; esac
    case $listed_files in *':.gitmodules'*) check_gitmodules ;; esac
}

check_lfs() {
    git grep -q -E -e '^[[:space:]]*[^#[:space:]].*[[:space:]]filter=lfs' "$upstream_commit" -- ':(glob)**/.gitattributes' ||
        return 0
    uses_lfs=yes
    has_program git-lfs || refuse 'the repository uses LFS, and git-lfs is not installed'
    # Fetch before the move, so that nothing moves if the server is down or lacks an object.
    time_to_move
    time_limit=$time_left git lfs fetch origin "$upstream_commit" >"$errors" 2>&1 && return 0
    exit_status=$?
    cat "$errors"
    words=$(git_reason)
    [ $exit_status -ne 124 ] || words="the server did not answer within $time_left seconds"
    finish unreachable "git-lfs: $words"
}

# If git rejects the commit's .gitmodules, every git command fails there, also those of a roll back. So
# refuse such a commit. To ask git, put the file into a new repository with one submodule, because git
# reads .gitmodules only if there is a submodule. A fetch of nothing reads the whole file.
check_gitmodules() {
    rm -rf "$state/gitmodules"
    git init -q --template= "$state/gitmodules" &&
        git cat-file blob "$upstream_commit:.gitmodules" >"$state/gitmodules/.gitmodules" || stop_in_conflict "cannot write below $state"
    (
        cd "$state/gitmodules" && git update-index --add --cacheinfo "160000,$upstream_commit,$upstream_commit" &&
            LC_ALL=C run_alone command git fetch -q . 'refs/none/*:refs/none/*'
    ) 2>"$errors" || stop_in_conflict "git refuses what the commit's .gitmodules says: $(git_reason)"
    rm -rf "$state/gitmodules"
}

# Since 2.26 `git rebase --merge` keeps its state in one folder, from which it can be taken back.
check_git_version() {
    found_version=$(git version)
    found_version=${found_version#git version }
    case $found_version. in
        [3-9].* | [1-9][0-9].* | 2.2[6-9].* | 2.[3-9][0-9].* | 2.[1-9][0-9][0-9].*) ;;
        *)
            fault_name=git_version
            refuse "git $found_version is too old: 2.26 or newer is needed"
            ;;
    esac
}
