# shellcheck shell=sh
# End all processes that a command has started.
#
# `timeout` ends only one process. So a command gets a mark, a random word in its environment, which all
# processes that it starts inherit. Only processes with the mark, or that provably come from one with it,
# are ended. Nothing is searched for while all goes well.

new_mark() {
    mark=''
    read -r mark </proc/sys/kernel/random/uuid
}

# Call this in the subshell that becomes the command. If this script was itself started by a step of another
# run, keep that run's mark too, so that it still finds these processes.
take_mark() {
    export PULLEY_STEP="$mark${PULLEY_STEP:+,$PULLEY_STEP}"
}

# Call this in the same subshell. It stores the mark, so that a run after a kill finds the processes that
# are left.
note_mark() {
    read_stat self && echo "$mark $this_group $session $start whole" >"$state/step"
}

read_note() {
    [ -s "$state/step" ] && read -r noted mark_group mark_session mark_start whole <"$state/step" &&
        [ "$whole" = whole ]
}

clear_mark() {
    mark=''
    [ ! -s "$state/step" ] || true >"$state/step"
}

# End the processes that the present command left, after it failed or timed out.
end_started() {
    read_note && [ "$noted" = "$mark" ] || mark_group='' mark_session=''
    ! end_marked || clear_mark
    mark=''
}

# End the processes that a step of a killed run left. They could overwrite this run's work.
end_leftovers() {
    read_note || return 0
    mark=$noted
    end_started
}

# Send SIGTERM, and after a second SIGKILL, until two searches find nothing. One search could miss a process
# that forks and exits meanwhile.
end_marked() {
    [ ${#mark} -eq 36 ] || return 0 # a mark that is cut off could be in other environments, too
    case ${PULLEY_STEP-} in *"$mark"*) return 0 ;; esac # then this run itself has the mark
    read_stat $$ || return 0
    own_group=$this_group own_session=$session here_path=$(pwd -P)
    group_ids=' ' sessions=' ' asked_pids=' ' looks=0
    read_clock
    kill_from=$((now_ticks + 100)) end_by=$((now_ticks + 300))
    while [ $looks -lt 2 ]; do
        find_marked
        read_clock
        if [ "$marked" = ' ' ]; then
            looks=$((looks + 1))
            end_groups
            continue
        fi
        looks=0
        [ "$asked_pids" != ' ' ] || echo "== ending what it left at work: process$marked" >>"$run_log"
        if [ "$now_ticks" -ge $end_by ]; then
            echo "== these do not end: process$marked" >>"$run_log"
            return 1
        elif [ "$now_ticks" -ge $kill_from ]; then
            end_groups
            # shellcheck disable=SC2086 # to be split
            kill -s KILL $marked
        else
            for one_pid in $marked; do
                is_in "$asked_pids" "$one_pid" || kill -s TERM "$one_pid"
            done
            asked_pids=$asked_pids$marked
            sleep 0.1 || sleep 1
        fi
    done 2>/dev/null
}

# Kill whole groups, with processes that were forked meanwhile. A marked process made each group.
end_groups() {
    for this_group in $group_ids; do
        kill -9 "-$this_group" # -9, because after -s dash needs a -- and busybox refuses it
    done
}

# Reading an environment can hang in the kernel, so limit the time.
find_marked() {
    marked=' '
    for one_process in $(timeout --foreground -s KILL 2 grep -lszF -e "$mark" /proc/[0-9]*/environ); do
        one_process=${one_process%/environ}
        marked="$marked${one_process#/proc/} "
    done
    # A name may have line breaks, after which it can look like another process.
    processes=$(LC_ALL=C grep -Hsz '' /proc/[0-9]*/stat | tr '\n\000' ' \n' |
        LC_ALL=C sed -nE 's#^/proc/([0-9]*)/.*\) [^XZ] ([0-9]*) ([0-9]*) ([0-9]*) ([-0-9]* ){15}([0-9]*) .*#p\1:\2:\3:\4:\6#p')
    members=' '
    for one_process in $processes; do
        case $one_process in p*:*:"$own_group":*:*) one_process=${one_process#p} members="$members${one_process%%:*} " ;; esac
    done
    known=''
    until [ "$marked$group_ids$sessions" = "$known" ]; do
        known=$marked$group_ids$sessions
        add_relatives
    done
}

# A process that cleared its environment is found by its parent, by the group or session that a marked
# process made, or as an orphan in this run's group.
add_relatives() {
    for one_process in $processes; do
        IFS=:
        # shellcheck disable=SC2086 # to be split
        set -- $one_process
        unset IFS
        one_pid=${1#p}
        if is_in "$marked" "$one_pid"; then
            ! is_its_own "$group_ids" "$3" "$own_group" "$mark_group" || group_ids="$group_ids$3 "
            ! is_its_own "$sessions" "$4" "$own_session" "$mark_session" || sessions="$sessions$4 "
        elif [ "$one_pid" -ne $$ ] && [ "$one_pid" -ne 1 ]; then
            ! is_in "$marked" "$2" && ! is_in "$group_ids" "$3" && ! is_in "$sessions" "$4" && ! is_orphan "$@" ||
                marked="$marked$one_pid "
        fi
    done
}

is_in() { # list word
    case $1 in *" $2 "*) ;; *) return 1 ;; esac
}

# Whether a process is in this run's group, its parent is not, it started after the mark was made, and its
# current folder is in this checkout.
is_orphan() { # pPID parent group session start
    [ "$3" = "$own_group" ] && [ "$3" = "$mark_group" ] && [ "$5" -ge "$mark_start" ] &&
        ! is_in "$members" "$2" || return 1
    case $(readlink "/proc/$one_pid/cwd")/ in "$here_path"/*) ;; *) return 1 ;; esac
}

# Whether a marked process made this group or session: if it is not the run's own, and its leader (the
# process that made it) is marked or has ended.
is_its_own() { # known id own noted
    ! is_in "$1" "$2" && [ "$2" != 0 ] && [ "$2" != "$3" ] && [ "$2" != "$4" ] || return 1
    ! is_in "$marked" "$2" || return 0
    case $processes in *"p$2:"*) return 1 ;; esac
}

# Read a process's group, session and start time. This starts no process.
read_stat() { # pid
    read -r stat <"/proc/$1/stat" || return 1
    # shellcheck disable=SC2086 # to be split
    set -- ${stat##*) }
    [ $# -ge 20 ] || return 1
    this_group=$3 session=$4 start=${20}
}
