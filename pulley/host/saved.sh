# shellcheck shell=sh
# Report, list, show and drop what was set aside under refs/pulley/saved/.

list_refs() { # how
    git for-each-ref "$@" refs/pulley/saved/
}

# Each run reports an edit that was set aside, until somebody drops its ref: the first one in the file
# `aside` whose ref still exists. If none does, a run that has the lock (and so a log) empties the file.
tell_aside() {
    [ -s "${state-/dev/null}/aside" ] && listed_refs=$(list_refs --format=' %(refname) ') || return 0
    while read -r this_ref file_name; do
        is_in "$listed_refs" "$this_ref" || continue
        file_aside=${file_aside:-$file_name} saved_ref=${saved_ref:-$(as_plain "$(printf %.80s "$this_ref")")}
        return
    done <"$state/aside"
    [ -z "${run_log-}" ] || true >"$state/aside"
}

# A run that was killed could not report what it saved, so report it now.
tell_kept() {
    [ -z "$saved_ref" ] && [ -s "${state-/dev/null}/kept" ] || return 0
    listed_refs=$(list_refs --format=' %(refname) ')
    while read -r this_ref; do
        ! is_in "$listed_refs" "$this_ref" || saved_ref=$this_ref
    done <"$state/kept"
}

# Update=saved: list the saved refs in the result; or show the saved Commit on stderr, of which Systems
# Manager keeps the first 8,000 bytes. It changes nothing.
look_at_saved() {
    if [ "$asked_commit" ]; then
        find_saved
        show "$asked_commit" --stat -p | head -c 7900
    else
        state=/dev/null # leave the room in the result line to the list
        more_fields=$(list_refs --sort=-refname --format='%(objectname) %(refname)' | tell_saved)
    fi
    finish unchanged
}

# Update=drop: delete the refs that point at Commit, and nothing else. git's gc removes the commit later.
drop_saved() {
    [ ! -s "$state/moving" ] || stop_in_conflict 'a killed run needs it'
    find_saved
    echo "$listed_refs" | git update-ref --no-deref --stdin 2>"$errors" || stop_in_conflict "$(git_reason)"
    more_fields=,${q}dropped$q:$(echo "$listed_refs" | grep -c .)
    finish unchanged
}

find_saved() {
    listed_refs=$(list_refs --points-at "$asked_commit" --format="delete %(refname) $asked_commit")
    [ "$listed_refs" ] || finish missing_commit 'no saved ref has it'
}

# List the refs, newest first, as many as the line has room for: the ref's last part, the commit, the number
# of files that it changes and the first of them. Also print how many refs there are.
tell_saved() {
    saved_list='' all=0
    while read -r one_commit this_ref; do
        all=$((all + 1))
        [ ${#saved_list} -lt 470 ] || continue
        listed_files=$(show "$one_commit" --format= --name-only)
        saved_list=$saved_list$(printf ',["%.30s","%s",%d,"%s"]' "${this_ref##*[!A-Za-z0-9-]}" "$one_commit" \
            "$(printf %s "$listed_files" | grep -c .)" "$(as_plain "$(printf %.40s "$listed_files" | first_line)")")
    done
    printf ',"saved_count":%d,"saved_refs":[%s]' $all "${saved_list#,}"
}

show() { # commit options; shows what it changes against its first parent
    seconds_left
    time_limit=$time_left git show -m --first-parent --no-textconv --no-ext-diff -O/dev/null "$@"
}
