# shellcheck shell=sh
# The marker: the commit that was deployed here last, and the settings of its steps.

read_marker() {
    marker_commit='' marker_upstream='' marker_target='' marker_steps='' marker_slot=0
    [ -f "$state/deployed" ] || return 0
    {
        read -r _ marker_commit _ marker_upstream _ marker_target _ marker_slot _ marker_steps
        if [ -z "$marker_upstream" ]; then # until release 0.2.0 each had its own line
            read -r _ marker_upstream
            read -r _ marker_target
            read -r _ marker_slot
            read -r _ marker_steps
        fi
    } <"$state/deployed"
    case $marker_slot in [0-9]) ;; *) marker_slot=0 ;; esac
    is_commit "$marker_commit" && is_commit "$marker_upstream" || marker_commit='' marker_upstream=''
}

# Whether the marker is this target's, with these settings of the steps, and no steps began without ending
# (then what was built and what runs may belong to another commit than the marker's).
is_deployed_here() {
    [ "$target_name" = "$marker_target" ] && [ "$step_settings" = "$marker_steps" ] && [ ! -s "$state/begun" ] &&
        { [ -z "$release_settings" ] || [ "$this_release" ]; }
}

# The ref and the marker are files. Each is overwritten in place by a single write, which takes no process: a
# kill leaves the old content or the new one. The marker is one line, because bash makes one write for each
# line. If the old marker was longer, its end stays in the file, behind that line. After a power cut a new ref
# may be empty; the next fetch removes it.
write_marker() {
    if [ "$commit_after" != "$marker_commit" ]; then
        marker_slot=$(((marker_slot + 1) % 10))
        set -- "$common_dir/refs/pulley/deployed"
        [ -d "$1" ] || mkdir -p "$1"
        echo "$commit_after" 1<>"$1/$marker_slot"
    fi
    [ -d "$state" ] || mkdir -m 700 "$state"
    echo "commit $commit_after upstream $upstream_commit target $target_name slot $marker_slot steps $step_settings" 1<>"$state/deployed" ||
        finish broken 'cannot write the marker'
}
