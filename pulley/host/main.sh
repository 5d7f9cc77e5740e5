# shellcheck shell=sh
# The steps of a run. docs/host.md has the contract: the checkout ends at the wanted commit, at the last good
# commit, or where it was; one line of JSON on stdout says which; no commit and no edit is lost, even after a
# kill.
# Run as root, the script becomes the checkout's owner; root only restarts units. Every file below the
# checkout is opened as the owner, so that a planted link cannot lead root anywhere. closed.sh says
# when root may stay root in its own checkout.

set -u
kept_back=10       # seconds before Timeout at which the run ends
log_bytes=1048576  # size at which the log on the host is rotated
ahead=600          # seconds that Issued may be ahead of the host's clock and still count

main() {
    clean_environment
    read_clock
    tab_char=${IFS#?} tab_char=${tab_char%?} # cut out of IFS (space, tab, newline), which starts no process
    started=${started:-$now_ticks}
    # Close the files that the caller has open, or the owner's code could use them. In the owner's part of a
    # run keep them: 4 and 5 lead to root's part.
    [ "$is_inside" ] || exec 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    exec 3>&1 1>&2 </dev/null # stdout is for the result line alone
    trap 'finish broken "stopped by a signal"' HUP INT TERM
    trap 'finish broken "the script ended unexpectedly"' EXIT
    read_parameters
    check_parameters
    deadline=$((started + (Timeout - kept_back) * 100))
    become_owner
    enter_checkout
    check_remote # before anything is written or removed
    root_owns_folders HEAD
    [ "$update_mode" != check ] || look
    [ "$update_mode" != saved ] || look_at_saved
    take_lock
    [ "$update_mode" != drop ] || drop_saved
    accept_issued
    mend
    bring_here
}

bring_here() {
    fetch
    find_drift
    [ "$Cause" != reconcile ] || bring_files_back
    stop_if_done
    check_tools
    update
    deploy
}

# The caller's environment must not change what git or this shell does. The locale decides what [a-z] means.
clean_environment() {
    unset LC_ALL CDPATH ENV BASH_ENV POSIXLY_CORRECT SSH_ASKPASS
    for this_name in DIR WORK_TREE INDEX_FILE COMMON_DIR OBJECT_DIRECTORY ALTERNATE_OBJECT_DIRECTORIES NAMESPACE \
        PREFIX SHALLOW_FILE GRAFT_FILE REPLACE_REF_BASE CONFIG CONFIG_PARAMETERS CONFIG_COUNT EXEC_PATH \
        QUARANTINE_PATH CEILING_DIRECTORIES LITERAL_PATHSPECS GLOB_PATHSPECS NOGLOB_PATHSPECS ICASE_PATHSPECS \
        EXTERNAL_DIFF DIFF_OPTS REFLOG_ACTION ASKPASS; do
        unset "GIT_$this_name"
    done
    LC_ALL=C # not exported: for this shell, not for the steps
    case $started in *[!0-9]*) started='' ;; esac
    [ -z "$asks" ] || { true >&4; } 2>/dev/null || asks=''
}

known_target='' goes_to_commit='' this_release='' release_before='' has_switched='' secret='' haves='' commit_before='' commit_after='' upstream_commit='' saved_ref='' merges_ref='' step_name='' failed_step='' fault_name='' more_fields='' attempts=0 kept_for_going_back=0 refetched='' commits_on_top=0 refs_kept=0 fetched='' judged='' drift_found='' file_aside='' q='"'
started=${PULLEY_STARTED-} asks=${PULLEY_ASKS-} is_inside=${1-}
unset PULLEY_STARTED PULLEY_ASKS
main
