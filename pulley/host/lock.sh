# shellcheck shell=sh
# Allow one run at a time in a checkout, and remove the locks of a killed git.

take_lock() {
    check_programs
    # shellcheck disable=SC2174 # the parent folder exists
    [ -d "$state" ] || mkdir -p -m 700 "$state" || refuse "cannot write below $git_dir"
    command exec 9<>"$state/lock" || refuse "cannot write $state/lock"
    seconds_left
    flock -w $((time_left / 2)) 9 2>&9 || {
        read_line "$state/lock" # a time, unless flock has written an error over it
        case $text_line in *[!0-9]*) refuse "flock (util-linux) failed: $text_line" ;; esac
        finish busy "another run held the lock for $((time_left / 2)) seconds"
    }
    run_log=$state/run.log # all output goes here from now on
    true >"$run_log" || refuse "cannot write $run_log"
    exec 6>&2 >>"$run_log" 2>&1
}

# Look for all programs first: if one were missing in the middle of a move, edits could be lost.
check_programs() {
    programs='flock find cmp sed grep timeout sort uniq head tail tr cut wc cat cp mv rm mkdir date readlink df'
    # shellcheck disable=SC2086 # names
    ! hash $programs 2>/dev/null || return 0
    for one_program in $programs; do
        case $one_program in
            flock) package=util-linux ;;
            find) package=findutils ;;
            cmp) package=diffutils ;;
            sed | grep) package=$one_program ;;
            *) package=coreutils ;;
        esac
        has_program "$one_program" || refuse "$one_program ($package) is not installed"
    done
}

has_program() { # program
    command -v "$1" >/dev/null
}

# SSM does not keep the order of commands, so a run does nothing if a newer command was accepted before.
# The lock file has the time of the newest accepted command. It is stored in one write of fixed length,
# so that a kill cannot leave half of it. A time far in the future is not compared, or it would stop all
# later runs.
accept_issued() {
    read_marker
    [ "$Issued" ] || return 0
    read_line "$state/lock"
    newest=$text_line
    case $newest in '' | *[!0-9]*) newest=0 ;; esac
    if [ "$Issued" -lt "$newest" ] && [ "$newest" -le $((($(date +%s) + ahead) * 1000)) ]; then
        upstream_commit=$marker_upstream
        finish superseded 'a newer command was here first'
    fi
    printf '%015d\n' "${Issued#"${Issued%%[!0]*}"}" 1<>"$state/lock" || refuse "cannot write $state/lock"
}

# Wait until no git that may write here is at work, then remove the locks of killed gits.
clear_locks() {
    set --
    for lock in "$git_dir"/*.lock "$common_dir"/*.lock "$common_dir/$local_ref.lock" \
        "$common_dir/$upstream_ref.lock" "$common_dir"/refs/pulley/*/*.lock "$common_dir/packed-refs.new"; do
        [ ! -e "$lock" ] || set -- "$@" "$lock"
    done
    [ $# -gt 0 ] || return 0
    waited=0
    while git_is_at_work || { [ "$hidden_git" ] && [ $waited -lt 5 ]; }; do
        seconds_left
        if [ $waited -ge 30 ] || [ "$time_left" -le 10 ]; then
            ! git_is_at_work || finish busy "another git is at work in $checkout_path"
            break
        fi
        sleep 1
        waited=$((waited + 1))
    done
    rm -f "$@"
}

# Whether a git process only reads, and so holds no lock. Editors, services and pagers keep such processes
# running for days.
only_reads() {
    case $(git_command) in
        cat-file | log | show | diff | blame | grep | rev-list | rev-parse | ls-files | ls-tree | for-each-ref | \
            archive | upload-pack | fsmonitor--daemon | credential-cache--daemon) ;;
        *) return 1 ;;
    esac
}

# The subcommand of a git process: the first word that is neither an option nor an option's value.
git_command() {
    tr '\000' '\n' <"$one_proc/cmdline" | {
        read -r _
        while read -r word; do
            case $word in
                -c | -C | --git-dir | --work-tree | --namespace | --config-env) read -r _ ;;
                -*) ;;
                *) echo "$word" && break ;;
            esac
        done
    }
}

# Only processes of the owner and of root count: another user could leave a process called git here
# for ever.
# The owner cannot see in which folder a process of root works: then set `hidden_git`, for which
# clear_locks waits some seconds.
git_is_at_work() {
    here_path=$(cd ./${this_release:+../..} && pwd -P) hidden_git=''
    for one_proc in /proc/[0-9]*; do
        read -r this_name <"$one_proc/comm" || continue
        case $this_name in git | git-*) ;; *) continue ;; esac
        read_uid "$one_proc/status"
        [ "$real_uid" = "$euid" ] || [ "$real_uid" = 0 ] || continue
        case $(readlink "$one_proc/cwd") in
            "$here_path" | "$here_path"/*) only_reads || return 0 ;;
            '') [ ! -d "$one_proc" ] || hidden_git=yes ;;
        esac
    done 2>/dev/null
    return 1
}
