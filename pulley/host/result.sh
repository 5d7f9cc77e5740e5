# shellcheck shell=sh
# The result line, the exit code and the log.

finish() { # outcome detail
    trap '' HUP INT TERM
    trap - EXIT
    outcome=$1
    if [ "$outcome" = conflict ] && [ -n "${failed_step-}" ]; then
        outcome=broken
        set -- broken "$failed_words; and going back: $2"
    fi
    [ "$outcome" != broken ] || [ -z "${failed_step-}" ] || step=$failed_step
    case $outcome in
        updated | unchanged | superseded) code=0 ;;
        bad_parameter) code=64 ;;
        no_checkout) code=66 ;;
        unreachable) code=69 ;;
        conflict) code=70 ;;
        missing_commit) code=71 ;;
        rolled_back) code=72 ;;
        broken) code=73 ;;
        busy) code=75 ;;
    esac
    if [ -n "${git_dir-}" ] && [ "$code" -ne 0 ]; then
        after=$(git rev-parse -q --verify HEAD 2>/dev/null) || after=''
        before=${before:-$after}
    fi
    keep_log
    read_clock
    took=$((now - started))
    line="{\"v\":1,\"target\":\"$known_target\""
    add outcome "$outcome"
    add before "$before"
    add after "$after"
    add upstream "$upstream"
    line="$line,\"local_commits\":$local_commits"
    add saved "$saved"
    add step "$step"
    detail=''
    [ -z "${2-}" ] || detail=$(plain "$2")
    line="$line,\"detail\":\"$detail\",\"seconds\":$((took / 100)).$((took % 100 / 10))}"
    printf '%s\n' "$line" >&3
    [ -z "$asks" ] || echo "exit $code" >&4
    exit "$code"
}

add() { # name value
    if [ -n "$2" ]; then
        line="$line,\"$1\":\"$2\""
    else
        line="$line,\"$1\":null"
    fi
}

# One line of printable ASCII, without the credentials of a URL, short enough for the result.
plain() {
    printf '%s' "$1" | without_secrets | LC_ALL=C tr -c ' -~' ' ' | cut -c1-280 | sed 's/[\\"]/\\&/g'
}

without_secrets() {
    sed 's#://[^/@ ]*@#://***@#g'
}

# The end of this run's log goes to stderr, all of it to the log on the host. The agent keeps the
# beginning of stderr, so what it gets is short.
keep_log() {
    if [ -z "${log-}" ] || [ ! -s "$log" ]; then
        return 0
    fi
    tail -c 4000 "$log" | without_secrets >&2
    size=0
    [ ! -f "$state/log" ] || size=$(wc -c <"$state/log")
    [ "$size" -lt $log_bytes ] || mv -f "$state/log" "$state/log.1"
    {
        echo "=== $(date -u +%Y-%m-%dT%H:%M:%SZ) $Target $Cause ${upstream:-} ${outcome:-}"
        tail -c $log_bytes "$log" | without_secrets
    } >>"$state/log"
}

# The first line in which git, or ssh for it, says what went wrong.
first_error() {
    error=''
    [ ! -f "$state/git.err" ] || while read -r line; do
        case $line in
            "Host key verification failed"* | *"ermission denied"* | *"cannot lock ref"*)
                error=$line
                break
                ;;
            fatal:* | error:*) error=${error:-$line} ;;
            *) case $error in *:) error="$error ${line#	}" ;; esac ;;
        esac
    done <"$state/git.err"
    if [ -z "$error" ]; then
        error="git gave no reason"
        [ "$(free_space)" -gt 0 ] || error="the disk is full"
    fi
    echo "$error"
}
