# shellcheck shell=sh
# The steps after the update, and the way back where one fails.

deploy() {
    if [ "$after" = "$marker_commit" ] && is_deployed_here; then
        write_marker
        [ "$before" != "$after" ] || finish "${superseded:-unchanged}"
        finish "${superseded:-updated}"
    fi
    seconds_left
    kept_for_going_back=$((left / 3))
    [ -d "$state" ] || mkdir -m 700 "$state"
    echo "$after" >"$state/begun" || finish broken "cannot write below $state"
    if run_steps "$after" "$marker_commit" "$Cause"; then
        stop_if_moved
        write_marker
        true >"$state/begun"
        true >"$state/failed"
        [ "$marker_slot" -ne 0 ] || tidy
        if [ "$before" = "$after" ] && [ "$steps" = '||' ]; then
            finish "${superseded:-unchanged}"
        fi
        finish "${superseded:-updated}"
    fi
    count_failure
    roll_back
}

# A step that moved HEAD (by a git pull of its own, say) leaves a commit for which no step ran.
stop_if_moved() {
    see_head
    [ "$seen" != "$after" ] || return 0
    step=${AfterPull:+after_pull}
    finish broken "a step moved HEAD to $seen; the next run does the steps for that commit"
}

# In order; the first that fails ends them, with its name in `step` and its reason in `words`.
run_steps() { # commit previous cause
    export PULLEY_TARGET="$Target" PULLEY_COMMIT="$1" PULLEY_PREVIOUS_COMMIT="$2" PULLEY_CAUSE="$3"
    step=submodules
    [ ! -f .gitmodules ] || update_submodules || return 1
    step=lfs
    [ -z "$uses_lfs" ] || step_within git lfs pull || return 1
    step=after_pull
    [ -z "$AfterPull" ] || run_after_pull || return 1
    step=restart
    [ -z "$Restart" ] || restart || return 1
    step=health_check
    [ -z "$HealthCheck" ] || check_health || return 1
    step=''
}

run_after_pull() {
    if [ ! -x "./$AfterPull" ] || [ ! -f "./$AfterPull" ]; then
        words="$AfterPull is not an executable file in the repository"
        return 1
    fi
    if [ "$euid" -eq 0 ] && ! root_owns_after_pull; then
        words="others own ${found#./} or may write to it, so root does not run $AfterPull"
        return 1
    fi
    step_within "./$AfterPull" && return 0
    if head -c 200 "./$AfterPull" | head -n 1 | grep -q "$(printf '\r')\$"; then
        words="$AfterPull has Windows line endings (CRLF): $words"
    fi
    return 1
}

# The file and each folder above it, up to the checkout, which was judged before.
root_owns_after_pull() {
    set -- "./$AfterPull"
    while [ "${1%/*}" != . ]; do
        set -- "${1%/*}" "$@"
    done
    found=$(find "$@" -prune \( ! -user 0 -o -perm -020 -o -perm -002 \) | head -n 1)
    [ -z "$found" ]
}

# Within the time that is left for steps, its output in the log. What it leaves running holds
# neither the lock nor the agent; and where it fails, nothing that it started is left.
step_within() {
    time_for_steps
    left=$((left > 12 ? left - 3 : left)) # to end what it started
    header="== $step: $1 ${2-} ${3-}"
    header=${header%%"
"*}
    echo "$header" >>"$log"
    begun=$now
    new_mark
    (
        note_mark
        take_mark
        exec timeout --foreground -k 2 "$left" "$@"
    ) >>"$log" 2>&1 3>&- 4>&- 5<&- 9>&-
    status=$?
    if [ $status -eq 0 ]; then
        clear_mark
        return 0
    fi
    read_clock
    if [ $((now - begun)) -ge $((left * 100)) ]; then
        words="it took longer than $left seconds"
    else
        words=$(tail -c 1000 "$log" | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c1-150)
        case $header in "$words"*) words="it wrote nothing" ;; esac
        words="exit code $status: $words"
    fi
    end_started
    return 1
}

restart() {
    time_for_steps
    echo "== restart: $Restart" >>"$log"
    if [ -n "$asks" ]; then
        echo "restart $left" >&4
        read -r status <&5 || status=1
    else
        systemctl_restart "$left" >>"$log" 2>&1 3>&- 9>&-
        status=$?
    fi
    words="systemctl reload-or-restart ended with $status"
    return "$status"
}

# Every tenth time: the calls above keep git from it, so that none is at work unseen.
tidy() {
    kept_for_going_back=0
    step=tidy
    step_within git -c gc.autoDetach=false gc --auto --quiet
    step=''
}

# A commit that fails is remembered with how often it did.
count_failure() {
    failed_commit=''
    [ ! -f "$state/failed" ] || read -r failed_commit attempts <"$state/failed"
    [ "$failed_commit" = "$after" ] || attempts=0
    attempts=$((attempts + 1))
    echo "$after $attempts" >"$state/failed"
}

# What the failed steps made in the place of a file of the commit that is gone back to: out of the
# way, and kept until this is done again. What was there before they began stays, and is a conflict.
clear_way_back() {
    rm -rf "$state/made"
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$after" "$marker_commit" -- | xargs -0 -r sh -c '
        made=$1 begun=$2 to=$3
        shift 3
        for file; do
            [ -f "./$file" ] || [ -L "./$file" ] || continue
            if [ "$(git hash-object -- "./$file")" = "$(git rev-parse -q --verify "$to:$file")" ]; then
                rm -f -- "./$file"
            elif [ ! "$begun" -nt "./$file" ]; then
                mkdir -p -- "$made/${file%/*}" && mv -f -- "./$file" "$made/$file"
            fi
        done' sh "$state/made" "$state/begun" "$marker_commit" >>"$log" 2>&1
}

roll_back() {
    failed_step=$step
    failed_words=$words
    echo "== $step failed: $words" >>"$log"
    if [ -z "$marker_commit" ] || [ "$marker_commit" = "$after" ]; then
        echo "== no other commit was deployed here to go back to" >>"$log"
        finish broken "$failed_words; no other commit was deployed here to go back to"
    fi
    echo "== rolling back to $marker_commit" >>"$log"
    kept_for_going_back=0
    # Local commits that were not deployed before would be in no branch any more.
    if [ -n "$(git rev-list -n 1 --cherry-pick --right-only "$marker_commit...$after" --not "$upstream" --)" ]; then
        name_saved_ref
        saved=$ref
        git update-ref "$saved" "$after" || finish broken "$failed_words; cannot save the local commits"
    fi
    clear_way_back
    failed=$after
    head=$after
    if [ "$Update" = exact ]; then
        head_ref=HEAD # detached by now: a kill here must not move the branch
        move carry "$marker_commit" --detach
    else
        head_ref=$local_ref tip=$after
        move carry "$marker_commit" -B "$Branch"
    fi
    after=$marker_commit
    local_commits=$(git rev-list --count "$marker_upstream..$after" --)
    if run_steps "$after" "$failed" rollback; then
        stop_if_moved
        true >"$state/begun"
        step=$failed_step
        finish rolled_back "$failed_words"
    fi
    finish broken "$failed_words; and going back: $step: $words"
}
