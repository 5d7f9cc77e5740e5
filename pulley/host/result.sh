# shellcheck shell=sh
# The result line, the exit code and the log.

refuse() { # why this host or checkout cannot be updated
    finish "${refused_as:-no_checkout}" "$1"
}

stop_in_conflict() { # what is in the way
    finish conflict "$1"
}

finish() { # outcome detail
    trap '' HUP INT TERM
    trap - EXIT
    [ -z "${opened-}" ] || mark='' git_dir='' run_log='' fetched='' state=/dev/null
    [ -z "${mark-}" ] || end_started # stopped by a signal
    if [ "$1" = conflict ] && [ "$failed_step" ]; then
        set -- broken "$failed_words; and going back: $2"
    fi
    [ "$1" != broken ] || step_name=${failed_step:-$step_name}
    case $1 in
        updated | unchanged | superseded) exit_code=0 ;;
        bad_parameter) exit_code=64 ;;
        no_checkout) exit_code=66 ;;
        unreachable) exit_code=69 ;;
        conflict) exit_code=70 ;;
        missing_commit) exit_code=71 ;;
        rolled_back) exit_code=72 ;;
        broken) exit_code=73 ;;
        busy) exit_code=75 ;;
    esac
    [ "$exit_code" -eq 0 ] || [ ! -s "${state:-/dev/null}/drained" ] || set -- "$1" "it may be out of its load balancer: $2"
    # Report the commit that is there, not the one that was meant to be.
    if [ "${git_dir-}" ]; then
        enter_current
        see_head
        commit_after=$seen commit_before=${commit_before:-$seen}
    fi
    tell_kept
    tell_aside
    if [ "$fetched" ] && [ -z "$goes_to_commit" ]; then
        # If the ref has no file, it has not changed, unless a step packed the refs.
        seen=$upstream_commit
        [ ! -f "$common_dir/$upstream_ref" ] && [ "$fetched" = now ] || see_ref "$upstream_ref"
        if [ "$exit_code" -eq 0 ] && [ "$seen" != "$upstream_commit" ]; then
            exit_code=73
            set -- broken "$branch_name has moved to $seen meanwhile; the next run goes there"
        fi
        upstream_commit=$seen
    fi
    final_outcome=$1
    [ "$exit_code" -eq 0 ] || more_fields=''
    keep_log
    read_clock
    took=$((now_ticks - started))
    text_line='{"v":1,"target":"'$known_target$q
    add_field outcome "$final_outcome"
    add_field before "${commit_before#"$no_commit"}"
    add_field after "$commit_after"
    add_field upstream "$upstream_commit"
    add_field saved "$saved_ref"
    add_field step "$step_name"
    [ "$attempts" -eq 0 ] || text_line=$text_line,${q}attempt$q:$attempts
    [ -z "$fault_name" ] || add_field fault "$fault_name"
    [ -z "$drift_found" ] || [ "$exit_code" -ne 0 ] || add_field drift "$drift_found"
    [ -z "$file_aside" ] || add_field set_aside "$(as_plain "$(printf %.80s "$file_aside")")"
    plain_detail=''
    [ -z "${2-}" ] || plain_detail=$(as_plain "$2")
    printf '%s,"local_commits":%s,"detail":"%s","seconds":%d.%d}\n' \
        "$text_line$more_fields" "${commits_on_top:-0}" "$plain_detail" $((took / 100)) $((took % 100 / 10)) >&3
    [ -z "${run_log-}" ] || true >"$state/kept"
    [ -z "$asks" ] || echo "exit $exit_code" >&4
    exit "$exit_code"
}

add_field() { # name value
    text_line=$text_line,$q$1$q:${2:+$q$2$q}
    [ "$2" ] || text_line=${text_line}null
}

# Print the text as one line of ASCII without credentials, short enough for the result.
as_plain() {
    if ! has_program sed; then
        printf '%s' "$1" | tr -cd 'A-Za-z0-9 ._()-'
        return
    fi
    printf '%s' "$1" | LC_ALL=C tr -c ' -~' ' ' | without_secrets | cut -c1-280 |
        # Escape it, then shorten it again, but not inside an escape.
        sed -e 's/[\\"]/\\&/g' -e 's/^\(.\{380\}\).*/\1/' -e 's/^\(\([^\\]\|\\.\)*\)\\$/\1/'
}

# Replace what may be a credential by ***: what is before an @ in any kind of URL, a query, a token with a
# known prefix, and the literal secret in origin's URL.
without_secrets() {
    sed -e "${secret:+s#$secret#***#g}" -e 's#://[^ ]*@#://***@#g' -e "s#[^ '\"/]*[:/][^ '\"]*@#***@#g" \
        -e "s#?[^ '\"][^ '\"]*#?***#g" -e 's#\(gh[a-z]_\|github_pat_\|glpat-\)[A-Za-z0-9_-]*#***#g'
}

# Leave in `secret` the password or token in origin's URL, as a pattern for sed; "" if there is none.
find_secret() { # address
    secret=''
    case $1 in
        *://*@*) secret=${1#*://} secret=${secret%@*} secret=${secret#*:} ;;
        *[:/]*@*) secret=${1%@*} secret=${secret##*[:/]} ;; # a mistyped URL
        *'?'*) secret=${1#*\?} ;;
    esac
    if [ ${#secret} -ge 4 ]; then
        secret=$(printf '%s' "$secret" | sed 's/[][\.*^$#]/\\&/g')
    else
        secret=''
    fi
}

# Write the end of this run's log to stderr, and append all of it to the log on the host. The agent keeps
# only the beginning of stderr, so stderr is short.
keep_log() {
    [ "${run_log-}" ] && [ -s "$run_log" ] || return 0
    without_secrets <"$run_log" | tail -c 4000 >&6
    size=0
    [ ! -f "$state/log" ] || size=$(wc -c <"$state/log")
    [ "$size" -lt $log_bytes ] || mv -f "$state/log" "$state/log.1"
    {
        echo "=== $(date -u +%Y-%m-%dT%H:%M:%SZ) $target_name $Cause $upstream_commit $final_outcome"
        without_secrets <"$run_log" | tail -c $log_bytes
    } >>"$state/log"
}

# Print why git failed: the first error that it wrote. If that only says that it could not read from the
# remote, the reason is the line before it, from ssh or GitHub.
git_reason() { # [file]
    first_error='' last_line='' cr=$(printf '\r')
    while IFS= read -r text_line || [ "$text_line" ]; do
        text_line=${text_line%"$cr"}
        case $text_line in
            'fetch: '* | 'Errors logged to '* | "Use \`git lfs logs"*) ;; # git-lfs, around its reason
            '' | [Ww]arning:* | hint:* | "$tab_char"*) case $first_error in *:) first_error="$first_error ${text_line#"$tab_char"}" ;; esac ;;
            'fatal: Could not read from remote repository'*)
                first_error=${first_error:-$last_line} first_error=${first_error:-$text_line}
                break
                ;;
            *'cannot lock ref'*)
                first_error=$text_line
                break
                ;;
            'error: failed to fetch some objects'*) first_error=${last_line:-$text_line} ;; # git-lfs
            fatal:* | error:*)
                first_error=${first_error:-$text_line}
                last_line=$text_line
                ;;
            *) last_line=$text_line ;;
        esac
    done <"${1:-$errors}"
    if [ -z "$first_error" ]; then
        first_error="git gave no reason${last_line:+ but: $last_line}"
        [ "$(free_space)" -gt 0 ] || first_error='the disk is full'
    fi
    echo "$first_error"
}
