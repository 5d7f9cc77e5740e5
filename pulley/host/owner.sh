# shellcheck shell=sh
# The user who owns the checkout, as whom everything but the restart of units runs.

# Go on as the checkout's owner, in the same process group, so that the agent's kill still reaches
# all of it. The script's text goes in by stdin: the owner may not read the agent's folder.
# The checkout is entered once, here, and judged from inside: whoever may rename it could have its
# path lead to a folder of someone else's, with links planted there, at any time.
become_owner() {
    read_uid /proc/self/status
    euid=$process_uid
    [ "$euid" -eq 0 ] || return 0
    case :${PATH-}: in *:[!/]*) PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ;; esac
    case $0 in /*) script=$0 ;; *) script=$PWD/$0 ;; esac
    go_in
    { read -r uid && read -r git_uid; } <<EOF || refuse_folder
$(stat -c %u . .git)
EOF
    [ "$uid" = "$git_uid" ] || refuse "$Checkout belongs to the uid $uid, its .git to $git_uid: chown -R it to one user"
    if [ "$uid" -eq 0 ]; then
        stay_root
        return
    fi
    judge_links
    [ -f "$script" ] || refuse "as root, run this script from a file"
    entry=$(getent passwd "$uid" || grep -m 1 "^[^:]*:[^:]*:$uid:" /etc/passwd) ||
        refuse "no user has the uid $uid, which owns $Checkout"
    IFS=: read -r owner _ _ gid _ HOME _ <<EOF
$entry
EOF
    export HOME USER="$owner" LOGNAME="$owner" PULLEY_STARTED="$started"
    unset SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND
    hides_status=''
    # Tried, because busybox has a setpriv that cannot do it.
    set -- setpriv --reuid="$uid" --regid="$gid" --init-groups -- "${BASH:-sh}"
    "$@" -c : 2>/dev/null || {
        hides_status=yes
        set -- runuser -u "$owner" -- "${BASH:-sh}"
        "$@" -c : 2>/dev/null
    } ||
        refuse "root cannot become $owner: setpriv or runuser (util-linux) is not installed"
    # By hand there is a terminal, from which the owner's code could read what root types next, or into
    # which it could type for root's shell (TIOCSTI).
    [ ! -t 2 ] && [ ! -t 3 ] || refuse "root's terminal would be in reach of $owner's code: add 2>&1 | cat"
    ! (: </dev/tty) 2>/dev/null || set -- setsid "$@"
    trap : HUP INT TERM # the owner's run tells; it goes by these itself
    # On SIGTERM runuser exits with 143, and hides the exit code of the owner's run: then that run sends it.
    if [ -z "$Restart$hides_status" ]; then
        "$@" -s inside <"$script" 1>&3 3>&-
        exit_as_owner $?
    fi
    # The owner asks on 4 and reads the answer on 5; root reads the one and writes the other.
    # shellcheck disable=SC2094 # both ends of a pipe are opened, on purpose
    fifo=$(mktemp -d) && mkfifo "$fifo/answers" && exec 7<>"$fifo/answers" &&
        exec 5<"$fifo/answers" 6>"$fifo/answers" 7>&- && rm -r "$fifo" ||
        finish broken 'root cannot make a temporary folder'
    trap - EXIT # the answering end tells
    PULLEY_ASKS=root "$@" -s inside <"$script" 4>&1 1>&3 3>&- 6>&- | answer_owner
    exit $?
}

# Leaves the effective uid in `process_uid`. A program that is set-uid root keeps its user's real one.
read_uid() { # status of a process
    while read -r key real_uid process_uid _; do
        [ "$key" != Uid: ] || break
    done <"$1"
}

# Root's part while the owner's runs: restart the units that the document named, and nothing else.
# A run restarts them twice at most, once on the way back; the owner's code may ask in its place.
answer_owner() {
    exec 5<&- # or the last answer would wait for a reader that is root itself
    trap '' HUP INT TERM
    restarts=0
    while read -r request status; do
        case $request in
            restart)
                [ $((restarts += 1)) -le 2 ] || continue
                [ "$status" -gt 0 ] && [ "$status" -le "$Timeout" ] || status=60
                systemctl_restart "$status"
                echo $? >&6
                ;;
            exit) exit_as_owner "$status" ;;
        esac
    done
    exit_as_owner 137
}

# The owner's run has said all, unless it did not come to its end.
exit_as_owner() { # status
    case $1 in
        0 | 64 | 66 | 69 | 7[0-35])
            trap - EXIT
            exit "$1"
            ;;
        *) finish broken "the run as $owner was killed, or could not begin (status $1)" ;;
    esac
}

systemctl_restart() { # seconds
    (
        IFS=,
        # shellcheck disable=SC2086 # a word a unit is what is wanted, and no unit has a glob in it
        timeout --foreground -k 5 "$1" systemctl reload-or-restart -- $Restart
    )
}
