# shellcheck shell=sh
# The remote: check that it is the repository's, and fetch from it.

# The remote must be the repository's. One on this machine is allowed.
check_remote() {
    origin_url='' instead='' can_hang='' ssh=${GIT_SSH_COMMAND-}
    config_text=$(git config --get-regexp '^(remote\.origin\.url|core\.sshcommand|url\..*\.insteadof|extensions\.(refstorage|objectformat)|filter\..*\.(clean|smudge|process)|remote\..*\.promisor)$' 2>&1)
    case $?/$config_text in
        [01]/*) ;;
        127/*) refuse 'git is not installed' ;;
        *) refuse "git cannot read its configuration: ${config_text#fatal: }" ;;
    esac
    while read -r key value; do
        case $key in
            remote.origin.url)
                [ -z "$origin_url" ] || [ "$origin_url" = "$value" ] || refuse 'origin has more than one address'
                origin_url=$value
                ;;
            url.*) instead=yes ;;
            filter.* | *.promisor) can_hang=yes ;;
            extensions.*) # this script knows only the usual locks and ids
                case $value in files | sha1) ;; *) refuse "$checkout_path is a $value repository, which is not supported" ;; esac
                ;;
            core.sshcommand) ssh=${GIT_SSH_COMMAND-$value} ;;
        esac
    done <<EOF
$config_text
EOF
    export GIT_SSH_COMMAND="${ssh:-ssh} -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
    find_secret "$origin_url"
    [ -z "$origin_url" ] || [ -z "$instead" ] || origin_url=$(git ls-remote --get-url origin)
    check_address
}

check_address() {
    case $origin_url in
        '')
            words=$(git rev-parse --git-dir 2>&1) || refuse "git cannot use $checkout_path: ${words#fatal: }"
            fault_name=no_origin
            refuse "$checkout_path has no remote origin"
            ;;
        /* | ./* | ../* | file://*) return 0 ;;
        *://*) url_path=${origin_url#*://} url_path=${url_path#*/} ;;
        *:*) url_path=${origin_url#*:} url_path=${url_path#/} ;;
        *) return 0 ;;
    esac
    url_path=${url_path%/} url_path=${url_path%.git}
    [ "$url_path" != "$repository_name" ] || return 0
    ! echo "$url_path" | grep -qixF "$repository_name" || return 0
    fault_name=origin
    case $url_path in
        *[!A-Za-z0-9._/-]* | */*/*) refuse "origin is not $repository_name: see git remote -v there" ;;
    esac
    refuse "origin is $url_path, not $repository_name"
}

# Try until the remote answers and has the commit, the retries are used up, or the time is over.
fetch() {
    delay=1
    while :; do
        # The run can go to a commit that was deployed here even while the remote is down.
        if fetch_once || { [ "$goes_to_commit" ] && was_deployed; }; then
            fetched=now
            look_at_refs
            has_commit && return
            move_reason=missing_commit words="commit $asked_commit is not in $branch_name"
        fi
        seconds_left
        [ $delay -le 4 ] && [ "$time_left" -gt $((delay + 5)) ] || finish "$move_reason" "$words"
        sleep $delay
        delay=$((delay * 2))
    done
}

fetch_once() {
    seconds_left
    limit=$((time_left > 20 ? time_left / 2 : time_left))
    time_limit=$limit git ${haves:+-c fetch.negotiationAlgorithm="$haves"} -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30 \
        -c fetch.writeCommitGraph=false fetch -q --no-tags --no-prune --no-recurse-submodules \
        --refmap= origin "+$remote_ref:$upstream_ref" >"$errors" 2>&1 && follow_tag 2>>"$errors" && return 0
    exit_status=$?
    cat "$errors"
    ! grep -q 'nrecognized option.*foreground' "$errors" ||
        refuse 'timeout is not of coreutils: it has no --foreground'
    move_reason=unreachable words=$(git_reason)
    # Remove the temporary files of the failed fetch, or a full disk would stay full.
    git_is_at_work || find "$common_dir/objects" -type f -name 'tmp_*' -exec rm -f {} +
    [ $exit_status -ne 124 ] || words="the remote did not answer within $limit seconds"
    case $words in
        *"couldn't find remote ref"*) move_reason=missing_commit words="the remote has no $follows $branch_name" ;;
        *'cannot lock ref'* | *'nable to create'* | *'local refs could not be updated'*)
            drop_refs_in_the_way
            clear_locks
            ;;
    esac
    drop_broken_copies
    return 1
}

# Leave in `Commit` the commit that the tag points at now: the tag may have moved since the command was sent. Keep
# the id of an annotated tag, and its commit, in the file `tag`: then a run that finds nothing new needs no process.
follow_tag() {
    [ $follows = tag ] || return 0
    see_ref "$upstream_ref"
    [ "$seen" != "$asked_commit" ] || return 0
    read_line "$state/tag"
    tag_commit=${text_line#"$seen "}
    is_commit "$tag_commit" || {
        tag_commit=$(commit_of "$upstream_ref^{commit}") || {
            object_type=$(git cat-file -t "$upstream_ref^{}") || return
            finish missing_commit "the tag $branch_name points at a $object_type"
        }
        echo "$seen $tag_commit" >"$state/tag"
    }
    if [ "$goes_to_commit" = tag ]; then
        asked_commit=$tag_commit
    else # tag-to: a commit that has not passed the target's gates must not come here
        is_ancestor "$asked_commit" "$tag_commit" || was_deployed || finish missing_commit "commit $asked_commit is not in $branch_name"
    fi
}

# A power cut leaves empty files. Fetched objects are only copies, so fetch them again. Do not tell the
# remote what is here (`haves`), because some of it is missing. An empty ref of this script has no
# content to lose, and git cannot fetch while it is there.
drop_broken_copies() {
    find "$common_dir/objects" "$common_dir/refs" -type f -size 0 ! -name '*.lock' \( \
        -path '*/objects/[0-9a-f][0-9a-f]/*' -o -name '*.pack' -o -name '*.idx' -o \
        -path '*/refs/pulley/*' -o -path '*/refs/remotes/*' \) -print -exec rm -f {} + >"$state/new"
    [ ! -s "$state/new" ] || haves=noop
    [ -f "$common_dir/$upstream_ref" ] || return 0
    commit_of "$upstream_ref^{commit}" || rm -f "$common_dir/$upstream_ref"
}

# On the remote, a branch `feature` was replaced by `feature/x`, or the reverse. git cannot have refs of both
# names, so delete the ref of the old one.
drop_refs_in_the_way() {
    git for-each-ref --format='delete %(refname)' "$upstream_ref/" | git update-ref --stdin
    parent_ref=${upstream_ref%/*}
    while [ "$parent_ref" != refs/remotes/origin ] && [ "$parent_ref" != refs/pulley ]; do
        git update-ref -d "$parent_ref"
        parent_ref=${parent_ref%/*}
    done
}
