# shellcheck shell=sh
# The checkout's owner. Everything except the restart of units runs as this user.

# Run the script again as the checkout's owner. It stays in the same process group, so that the agent's
# kill reaches it. The script's text is on stdin, because the owner may not read the agent's folder.
# The checkout is entered once, here, and checked from inside: somebody who may rename it could at any
# time make its path lead to another user's folder that has planted links.
become_owner() {
    read_uid /proc/self/status
    euid=$process_uid
    [ "$euid" -eq 0 ] || return 0
    # Root enters the checkout: a relative folder in these would load the owner's code.
    unset LD_LIBRARY_PATH LD_PRELOAD LD_AUDIT
    case :${PATH-}: in *:[!/]*) PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ;; esac
    case $0 in /*) script_file=$0 ;; *) script_file=$PWD/$0 ;; esac
    go_in
    # shellcheck disable=SC2154 # read_parameters has assigned it
    { read -r owner_uid _ && read -r entered && read -r git_uid _; } <<EOF || refuse_folder
$(stat -c '%u %N' . /proc/self/cwd .git 2>&- || [ -z "$Clone" ] || id -u "$owner_user")
EOF
    [ "$owner_uid" = "$git_uid" ] || refuse "$checkout_path belongs to the uid $owner_uid, its .git to $git_uid: chown -R it to one user"
    if [ "$owner_uid" -eq 0 ]; then
        stay_root
        return
    fi
    judge_links "$entered"
    [ -f "$script_file" ] || refuse 'as root, run this script from a file'
    entry=$(getent passwd "$owner_uid" || grep -m 1 "^[^:]*:[^:]*:$owner_uid:" /etc/passwd) ||
        refuse "no user has the uid $owner_uid, which owns $checkout_path"
    IFS=: read -r owner_name _ _ gid _ HOME _ <<EOF
$entry
EOF
    export HOME USER="$owner_name" LOGNAME="$owner_name" PULLEY_STARTED="$started"
    unset SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND
    hides_status=''
    # Test it, because busybox's setpriv lacks these options.
    set -- setpriv --reuid="$owner_uid" --regid="$gid" --init-groups -- "${BASH:-sh}"
    "$@" -c : 2>/dev/null || {
        hides_status=yes
        set -- runuser -u "$owner_name" -- "${BASH:-sh}"
        "$@" -c : 2>/dev/null
    } ||
        refuse "root cannot become $owner_name: setpriv or runuser (util-linux) is not installed"
    # By hand there is a terminal. The owner's code could read from it what root types next, or write input
    # to root's shell with it (TIOCSTI).
    [ ! -t 2 ] && [ ! -t 3 ] || refuse "root's terminal would be in reach of $owner_name's code: add 2>&1 | cat"
    ! (: </dev/tty) 2>/dev/null || set -- setsid "$@"
    trap : HUP INT TERM # the owner's run handles these and prints the result
    # On SIGTERM runuser exits with 143, not with the owner's exit code. So the owner's run sends its code.
    if [ -z "$restart_units$hides_status" ]; then
        "$@" -s inside <"$script_file" 1>&3 3>&-
        exit_as_owner $?
    fi
    # The owner's run writes requests to 4 and reads answers from 5. Root has the other ends.
    # shellcheck disable=SC2094 # open both ends of the pipe on purpose
    fifo=$(mktemp -d) && mkfifo "$fifo/answers" && exec 7<>"$fifo/answers" &&
        exec 5<"$fifo/answers" 6>"$fifo/answers" 7>&- && rm -r "$fifo" ||
        finish broken 'root cannot make a temporary folder'
    trap - EXIT # answer_owner prints the result
    PULLEY_ASKS=root "$@" -s inside <"$script_file" 4>&1 1>&3 3>&- 6>&- | answer_owner
    exit $?
}

# Set `process_uid` to the effective uid. A set-uid program of root's still has its user's real uid.
read_uid() { # status of a process
    while read -r key real_uid process_uid _; do
        [ "$key" != Uid: ] || break
    done <"$1"
}

# What root does during the owner's run: restart the units that the document names, and nothing else.
# A run restarts them twice at most, the second time on the way back. More requests come from the owner's
# code, and are answered with 1.
answer_owner() {
    trap '' HUP INT TERM
    restarts=0
    while read -r request exit_status; do
        case $request in
            restart)
                [ "$exit_status" -gt 0 ] && [ "$exit_status" -le "$Timeout" ] || exit_status=60
                [ $((restarts += 1)) -le 2 ] && systemctl_restart "$exit_status"
                echo $? >&6
                ;;
            exit) exit_as_owner "$exit_status" ;;
        esac
    done
    exit_as_owner 137
}

# The owner's run has printed the result, unless it was killed.
exit_as_owner() { # status
    case $1 in
        0 | 64 | 66 | 69 | 7[0-35])
            trap - EXIT
            exit "$1"
            ;;
        *) finish broken "the run as $owner_name was killed, or could not begin (status $1)" ;;
    esac
}

systemctl_restart() { # seconds
    (
        IFS=,
        # shellcheck disable=SC2086 # split into one word for each unit; no unit has a glob in it
        timeout --foreground -k 5 "$1" systemctl reload-or-restart -- $restart_units
    )
}
