# shellcheck shell=sh
# One run at a time in a checkout, and the locks that a killed git left.

take_lock() {
    check_programs
    # shellcheck disable=SC2174 # the folder above is there
    [ -d "$state" ] || mkdir -p -m 700 "$state" || refuse "cannot write below $git_dir"
    command exec 9<>"$state/lock" || refuse "cannot write $state/lock"
    seconds_left
    words=$(flock -w $((left / 2)) 9 2>&1) || {
        [ -z "$words" ] || refuse "flock (util-linux) cannot do what is asked of it: $words"
        finish busy "another run held the lock for $((left / 2)) seconds"
    }
    log=$state/run.log # of all output from here on
    true >"$log" || refuse "cannot write $log"
    exec 6>&2 >>"$log" 2>&1
}

# A program that is missing in the middle of a move would lose what it was to keep.
check_programs() {
    for program in flock:util-linux find:findutils cmp:diffutils sed:sed grep:grep timeout sort uniq \
        head tail tr cut wc cat cp mv rm mkdir date readlink df; do
        package=${program#*:} program=${program%:*}
        [ "$package" != "$program" ] || package=coreutils
        has "$program" || refuse "$program ($package) is not installed"
    done
}

has() { # program
    command -v "$1" >/dev/null
}

# SSM gives no order, so a run older than the newest accepted one does nothing. The lock's own file
# keeps that one's time; it is written in place, in one write, so a kill cannot leave half of it.
# One from the future would shut out all that come after it: it runs, but does not count.
accept_issued() {
    read_marker
    [ -n "$Issued" ] || return 0
    read_line "$state/lock"
    newest=$line
    case $newest in '' | *[!0-9]*) newest=0 ;; esac
    if [ "$Issued" -lt "$newest" ] && [ "$newest" -le $((($(date +%s) + ahead) * 1000)) ]; then
        upstream=$marker_upstream
        finish superseded "a newer command was here first"
    fi
    printf '%015d\n' "${Issued#"${Issued%%[!0]*}"}" 1<>"$state/lock" || refuse "cannot write $state/lock"
}

# A lock is dead where no other git of this user is at work in this checkout.
clear_locks() {
    set --
    for lock in "$git_dir"/*.lock "$common_dir"/*.lock "$common_dir/$local_ref.lock" \
        "$common_dir/$upstream_ref.lock" "$common_dir"/refs/pulley/*/*.lock "$common_dir/packed-refs.new"; do
        [ ! -e "$lock" ] || set -- "$@" "$lock"
    done
    [ $# -gt 0 ] || return 0
    waited=0
    while git_is_at_work || { [ -n "$hidden_git" ] && [ $waited -lt 5 ]; }; do
        seconds_left
        if [ $waited -ge 30 ] || [ "$left" -le 10 ]; then
            ! git_is_at_work || finish busy "another git is at work in $Checkout"
            break
        fi
        sleep 1
        waited=$((waited + 1))
    done
    rm -f -- "$@"
}

# An editor or a service keeps one at work for days, and a pager another; they hold no lock.
only_reads() {
    case $(git_command) in
        cat-file | log | show | diff | blame | grep | rev-list | rev-parse | ls-files | ls-tree | for-each-ref | \
            archive | upload-pack | fsmonitor--daemon | credential-cache--daemon) ;;
        *) return 1 ;;
    esac
}

# What a process of git was called for: the first word that is no option, or an option's value.
git_command() {
    tr '\000' '\n' <"$proc/cmdline" | {
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

# Of those who may write here, its owner and root: anyone else's may be called git, and sit here, for
# ever. Root's own does not show the owner where it is; it gets time to end.
git_is_at_work() {
    here=$(pwd -P) hidden_git=''
    for proc in /proc/[0-9]*; do
        read -r name <"$proc/comm" || continue
        case $name in git | git-*) ;; *) continue ;; esac
        read_uid "$proc/status"
        [ "$real_uid" = "$euid" ] || [ "$real_uid" = 0 ] || continue
        case $(readlink "$proc/cwd") in
            "$here" | "$here"/*) only_reads || return 0 ;;
            '') [ ! -d "$proc" ] || hidden_git=yes ;;
        esac
    done 2>/dev/null
    return 1
}
