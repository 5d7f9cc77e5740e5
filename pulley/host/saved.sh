# shellcheck shell=sh
# What was set aside and stays under refs/pulley/saved/: told, listed, shown and dropped.

list_refs() { # how
    git for-each-ref "$@" refs/pulley/saved/
}

# An edit that did not fit is told of by each run, until somebody has seen to it: the first in the notes
# whose ref is there. Where none is, a run that has the lock (and so a log) empties the notes.
tell_aside() {
    [ -s "${state-/dev/null}/aside" ] && refs=$(list_refs --format=' %(refname) ') || return 0
    while read -r ref file; do
        is_in "$refs" "$ref" || continue
        aside=${aside:-$file} saved=${saved:-$(plain "$(printf %.80s "$ref")")}
        return
    done <"$state/aside"
    [ -z "${log-}" ] || true >"$state/aside"
}

# A run that was killed has told nobody what it saved.
tell_kept() {
    [ -z "$saved" ] && [ -s "${state-/dev/null}/kept" ] || return 0
    refs=$(list_refs --format=' %(refname) ')
    while read -r ref; do
        ! is_in "$refs" "$ref" || saved=$ref
    done <"$state/kept"
}

# Update=saved: what there is, in the result; or what the saved Commit holds, on stderr, of which Systems
# Manager keeps the first 8,000 bytes. Changes nothing.
look_at_saved() {
    if [ -n "$Commit" ]; then
        find_saved
        show "$Commit" --stat -p | head -c 7900
    else
        unset state # so that the line is for the list
        more=$(list_refs --sort=-refname --format='%(objectname) %(refname)' | tell_saved)
    fi
    finish unchanged
}

# Update=drop: the refs that point at Commit go, and nothing else. The commit is left to git's own gc.
drop_saved() {
    [ ! -s "$state/moving" ] || stop_in_conflict "a killed run needs it"
    find_saved
    echo "$refs" | git update-ref --no-deref --stdin 2>"$errors" || stop_in_conflict "$(git_reason)"
    more=,${q}dropped$q:$(echo "$refs" | grep -c .)
    finish unchanged
}

find_saved() {
    refs=$(list_refs --points-at "$Commit" --format="delete %(refname) $Commit")
    [ -n "$refs" ] || finish missing_commit "no saved ref has it"
}

# Newest first, as many as the line has room for: the ref's last part, the commit, how many files it
# changes and the first of them. And how many there are.
tell_saved() {
    list='' all=0
    while read -r commit ref; do
        all=$((all + 1))
        [ ${#list} -lt 470 ] || continue
        files=$(show "$commit" --format= --name-only)
        list=$list$(printf ',["%.30s","%s",%d,"%s"]' "${ref##*[!A-Za-z0-9-]}" "$commit" \
            "$(printf %s "$files" | grep -c .)" "$(plain "$(printf %.40s "$files" | head -n 1)")")
    done
    printf ',"saved_count":%d,"saved_refs":[%s]' $all "${list#,}"
}

show() { # commit how; what it changes in its first parent
    seconds_left
    within=$left git show -m --first-parent --no-textconv --no-ext-diff -O/dev/null "$@"
}
