# shellcheck shell=sh
# What the host must have, and the commit must not, before anything moves.

# What a step will need, and what would stop it, is looked for before anything moves.
check_tools() {
    [ -n "$marker_commit" ] || check_git_version # else it was looked at then
    if [ -n "$HealthCheck" ] && ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
        finish no_checkout "the health check needs curl or wget on the host"
    fi
    uses_lfs=''
    files=$(git grep -l -G --no-color -e . "$upstream" -- ':(glob)**/.gitattributes' .gitmodules 2>>"$log")
    case $files in *.gitattributes*) check_lfs ;; esac
    case $files in *":.gitmodules"*) check_gitmodules ;; esac
}

check_lfs() {
    git grep -q -E -e '^[[:space:]]*[^#[:space:]].*[[:space:]]filter=lfs' "$upstream" -- ':(glob)**/.gitattributes' 2>>"$log" ||
        return 0
    uses_lfs=yes
    command -v git-lfs >/dev/null || finish no_checkout "the repository uses LFS, and git-lfs is not installed"
    # Before the move, so that a server that is down or lacks an object moves nothing.
    time_to_move
    within=$left git lfs fetch origin "$upstream" >"$state/git.err" 2>&1 && return 0
    status=$?
    cat "$state/git.err" >>"$log"
    [ $status -ne 124 ] || finish unreachable "git-lfs: the server did not answer within $left seconds"
    finish unreachable "git-lfs: $(reason "$state/git.err")"
}

# Where git does not like what .gitmodules says, it dies of each command there, those of the way
# back too. So such a commit is not gone to.
check_gitmodules() {
    git config --blob "$upstream:.gitmodules" -z --list >"$state/new" 2>"$state/git.err" ||
        finish conflict "the commit's .gitmodules cannot be read: $(reason "$state/git.err")"
    [ "$(wc -c <"$state/new")" -le 1000000 ] || finish conflict "the commit's .gitmodules is too large"
    setting=$(tr '\t\n\000' '?\t\n' <"$state/new" | find_refused)
    [ -z "$setting" ] || finish conflict "git refuses what the commit's .gitmodules says: $setting"
}

# The first setting that git dies of (submodule-config.c). A line is the name, a tab, the value; or
# the name alone.
find_refused() {
    while IFS= read -r line; do
        key=${line%%"$tab"*} value=${line#*"$tab"}
        case $key in
            submodule.*.update) case $value in checkout | rebase | merge | none) continue ;; esac ;;
            submodule.*.path | submodule.*.url | submodule.*.ignore) [ "$line" = "$key" ] || continue ;;
            submodule.*.shallow) ! is_boolean || continue ;;
            submodule.*.fetchrecursesubmodules | fetch.recursesubmodules)
                ! is_boolean && [ "$value" != on-demand ] || continue
                ;;
            submodule.fetchjobs) case $value in [0-9] | [0-9][0-9]) continue ;; esac ;;
            *) continue ;;
        esac
        echo "$key = $value"
        return
    done
}

is_boolean() {
    [ "$line" != "$key" ] || return 0
    case $value in
        '' | [0-9] | [Tt][Rr][Uu][Ee] | [Ff][Aa][Ll][Ss][Ee] | [Yy][Ee][Ss] | [Nn][Oo] | [Oo][Nn] | [Oo][Ff][Ff]) ;;
        *) return 1 ;;
    esac
}

# Since 2.26 `git rebase --merge` does all that a rebase needs, in one folder, from which it can be taken back.
check_git_version() {
    version=$(git version)
    version=${version#git version }
    case $version in
        [3-9].* | [1-9][0-9].* | 2.2[6-9] | 2.2[6-9].* | 2.[3-9][0-9] | 2.[3-9][0-9].* | 2.[1-9][0-9][0-9].*) ;;
        *)
            fault=git_version
            finish no_checkout "git $version is too old: 2.26 or newer is needed, whose rebase can be taken back"
            ;;
    esac
}
