# shellcheck shell=sh
# The steps after the update, and the roll back if one fails.

deploy() {
    # Skip the steps only if nobody moved HEAD: that person may have built or started another commit.
    if is_deployed_here && [ "${drift_found:-files}" = files ]; then
        if [ "$commit_after" = "$marker_commit" ]; then
            write_marker
            succeed
        fi
        # `step_settings`, which the marker gets, has their settings already.
        [ "$release_settings" ] || ! nothing_fits || after_pull_program='' Drain='' before_restart_program='' restart_units='' health_url='' after_healthy_program='' more_fields=,${q}steps_not_needed$q:true
    fi
    seconds_left
    kept_for_going_back=$((time_left / 3)) fetched=${fetched:+before}
    # Steps in a release change nothing that runs until the link is switched.
    if [ "$release_settings" ]; then
        [ ! -s "$state/begun" ] || has_switched=yes
    else
        echo "$commit_after" >"$state/begun" || finish broken "cannot write below $state"
    fi
    if run_steps "$commit_after" "$marker_commit" "$Cause"; then
        stop_if_opened # by a unit that was restarted, say
        stop_if_moved
        write_marker
        true >"$state/begun"
        true >"$state/failed"
        [ -z "$release_settings" ] || true >"$state/doomed"
        if [ "$marker_slot" -eq 0 ]; then # our git calls start no gc, which could run unseen
            kept_for_going_back=0 step_name=tidy
            step_within git -c gc.autoDetach=false gc --auto --quiet
            step_name=''
        fi
        [ "$step_settings" != '||' ] || succeed
        finish "${other_outcome:-updated}"
    fi
    stop_if_opened
    # Remember the failed commit, and how often it has failed.
    read_line "$state/failed"
    case $text_line in "$commit_after "*) attempts=${text_line#* } ;; esac
    attempts=$((attempts + 1))
    echo "$commit_after $attempts" >"$state/failed"
    roll_back
}

# Whether no file that fits Paths has changed since the last deploy. If git cannot tell, the steps run.
nothing_fits() (
    [ "$Paths" ] && [ "$step_settings" != '||' ] || exit
    set -f
    IFS=,
    # shellcheck disable=SC2086 # to be split
    git --glob-pathspecs diff-tree -r --quiet --ignore-submodules=none "$marker_commit" "$commit_after" -- $Paths
)

succeed() {
    [ "$commit_before" != "$commit_after" ] || finish "${other_outcome:-unchanged}"
    finish "${other_outcome:-updated}"
}

# If a step moved HEAD (with its own git pull, say), no steps ran for the new commit.
stop_if_moved() {
    see_head
    [ "$seen" != "$commit_after" ] || return 0
    step_name=${after_pull_program:+after_pull}
    finish broken "a step moved HEAD to $seen; the next run does the steps for it"
}

# Run the steps in order until one fails: then `step_name` has its name and `words` the reason.
run_steps() { # commit previous cause
    export PULLEY_TARGET="$target_name" PULLEY_COMMIT="$1" PULLEY_PREVIOUS_COMMIT="$2" PULLEY_CAUSE="$3"
    if make_release "$1"; then
        step_name=submodules
        [ ! -f .gitmodules ] || update_submodules || return
        step_name=lfs
        [ -z "$uses_lfs" ] || step_within git lfs pull || return
        run_program after_pull "$after_pull_program" || return
        [ -z "$release_settings" ] || { see_edits && note_built ":$after_pull_program$shared_paths"; } || return
    fi
    switch_release || return
    step_name=drain
    # The way back goes on without it all the same, and keeps half of its time for what comes then.
    [ -z "$failed_step" ] || {
        seconds_left
        kept_for_going_back=$((time_left / 2))
    }
    drain && run_program before_restart "$before_restart_program" || [ "$failed_step" ] || return
    [ -z "$failed_step" ] || kept_for_going_back=0
    step_name=restart
    [ -z "$restart_units" ] || restart || return
    step_name=health_check
    [ -z "$health_url" ] || check_health || return
    step_name=drain
    rejoin || return
    run_program after_healthy "$after_healthy_program" || return
    step_name=''
}

run_program() { # step path
    step_name=$1
    set -- "./$2"
    if [ "$1" = ./ ]; then
        return
    elif [ ! -x "$1" ] || [ ! -f "$1" ]; then
        words="${1#./} is not an executable file in the repository"
    elif [ "$euid" -eq 0 ] && ! root_owns_program "$1"; then
        words="others own ${finding#./} or may write to it, so root does not run ${1#./}"
    else
        step_within "$1" && return
        ! head -c 200 "$1" | first_line | grep -q "$(printf '\r')\$" ||
            words="${1#./} has Windows line endings (CRLF): $words"
    fi
    return 1
}

# Check the file and each folder above it, up to the checkout, which was checked before.
root_owns_program() { # path
    while [ "${1%/*}" != . ]; do
        set -- "${1%/*}" "$@"
    done
    find_of_others "$@" -prune
    [ -z "$finding" ]
}

# Run a command within the time for steps, with its output in the log. A process that the command leaves
# running does not keep the lock, and the agent does not wait for it. If the command fails, everything that
# it started is ended.
step_within() {
    time_for_steps
    time_left=$((time_left > 12 ? time_left - 3 : time_left)) # time to end what it started
    header="== $step_name: $1 ${2-}"
    echo "$header"
    begun=$now_ticks
    new_mark
    (
        note_mark
        take_mark
        run_alone exec timeout --foreground -k 2 "$time_left" "$@"
    )
    exit_status=$?
    stop_if_opened
    if [ $exit_status -eq 0 ]; then
        clear_mark
        return
    fi
    read_clock
    if [ $((now_ticks - begun)) -ge $((time_left * 100)) ]; then
        words="it took longer than $time_left seconds"
    else
        words=$(tail -n 50 "$run_log" | without_secrets | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c1-150)
        case $header in "$words"*) words='it wrote nothing' ;; esac
        words="exit code $exit_status: $words"
    fi
    end_started
    return 1
}

restart() {
    time_for_steps
    echo "== restart: $restart_units"
    if [ "$asks" ]; then
        echo "restart $time_left" >&4
        read -r exit_status <&5 || exit_status=1
    else
        run_alone systemctl_restart "$time_left"
        exit_status=$?
        stop_if_opened
    fi
    words="systemctl reload-or-restart ended with $exit_status"
    return "$exit_status"
}
