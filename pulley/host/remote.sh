# shellcheck shell=sh
# The remote: that it is the repository's, and what is fetched from it.

# The remote must be the repository's; one on this machine is let pass.
check_remote() {
    url='' instead='' ssh=${GIT_SSH_COMMAND-}
    remote=$(git config --get-regexp '^(remote\.origin\.url|core\.sshcommand|url\..*\.insteadof|extensions\.(refstorage|objectformat))$' 2>&1)
    case $?/$remote in
        [01]/*) ;;
        *) finish no_checkout "git cannot read its configuration: ${remote#fatal: }" ;;
    esac
    while read -r key value; do
        case $key in
            remote.origin.url)
                [ -z "$url" ] || [ "$url" = "$value" ] || finish no_checkout "$Checkout has more than one address for origin"
                url=$value
                ;;
            url.*) instead=yes ;;
            extensions.*) # its locks and names are others than those that this script knows
                case $value in files | sha1) ;; *) finish no_checkout "$Checkout is a $value repository, which is not supported: clone it without" ;; esac
                ;;
            core.sshcommand) ssh=${GIT_SSH_COMMAND-$value} ;;
        esac
    done <<EOF
$remote
EOF
    export GIT_SSH_COMMAND="${ssh:-ssh} -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
    case $url in *[@?]*) find_secret "$url" ;; esac
    [ -z "$url" ] || [ -z "$instead" ] || url=$(git ls-remote --get-url origin)
    case $url in
        '')
            words=$(git rev-parse --git-dir 2>&1) || finish no_checkout "git cannot use $Checkout: ${words#fatal: }"
            fault=no_origin
            finish no_checkout "$Checkout has no remote named origin"
            ;;
        /* | ./* | ../* | file://*) return 0 ;;
        *://*) path=${url#*://} path=${path#*/} ;;
        *:*) path=${url#*:} path=${path#/} ;;
        *) return 0 ;;
    esac
    path=${path%/} path=${path%.git}
    [ "$path" = "$Repository" ] && return 0
    [ "$(echo "$path" | tr '[:upper:]' '[:lower:]')" = "$(echo "$Repository" | tr '[:upper:]' '[:lower:]')" ] && return 0
    fault=origin
    case $path in
        *[!A-Za-z0-9._/-]* | */*/*) finish no_checkout "origin's address does not lead to $Repository: see git remote -v there" ;;
    esac
    finish no_checkout "origin is $path, not $Repository"
}

# Until the remote answers and has the commit, or the time or the patience is up.
fetch() {
    delay=1
    while :; do
        if fetch_once || can_go_back_without_it; then
            look_at_refs
            if has_commit; then
                return 0
            fi
            why=missing_commit words="commit $Commit is not in $Branch"
        fi
        seconds_left
        [ $delay -le 4 ] && [ "$left" -gt $((delay + 5)) ] || finish "$why" "$words"
        sleep $delay
        delay=$((delay * 2))
    done
}

# The remote may be down when someone pins a commit that was deployed here.
can_go_back_without_it() {
    [ "$Update" = exact ] && [ -n "$(git for-each-ref --contains "$Commit" refs/pulley/deployed 2>>"$log")" ]
}

fetch_once() {
    seconds_left
    limit=$((left > 20 ? left / 2 : left))
    # shellcheck disable=SC2086 # two words, or none
    within=$limit git $haves -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30 \
        -c fetch.writeCommitGraph=false fetch -q --no-tags --no-prune --no-recurse-submodules \
        --refmap= origin "+refs/heads/$Branch:$upstream_ref" >"$state/git.err" 2>&1 && return 0
    status=$?
    cat "$state/git.err" >>"$log"
    ! grep -q "nrecognized option.*foreground" "$state/git.err" ||
        finish no_checkout "timeout is not that of coreutils: it has no --foreground"
    why=unreachable words=$(reason "$state/git.err")
    drop_half_fetched
    if [ $status -eq 124 ]; then
        words="the remote did not answer within $limit seconds"
    fi
    case $words in
        *"couldn't find remote ref"*) why=missing_commit words="the remote has no branch $Branch" ;;
        *"cannot lock ref"* | *"unable to create"* | *"Unable to create"* | *"local refs could not be updated"*)
            drop_refs_in_the_way
            clear_locks
            ;;
    esac
    drop_broken_copies
    return 1
}

# What a fetch that failed has left would keep a full disk full.
drop_half_fetched() {
    git_is_at_work || find "$common_dir/objects" -type f \
        \( -name 'tmp_obj_*' -o -name 'tmp_pack_*' -o -name 'tmp_idx_*' \) -exec rm -f -- {} + 2>>"$log"
}

# A power cut leaves files that are empty. What was fetched is only a copy: it is fetched again, and
# then the remote is not told what is here, because some of it is missing.
drop_broken_copies() {
    find "$common_dir/objects" -type f -size 0 -path '*/[0-9a-f][0-9a-f]/*' -print -exec rm -f -- {} + >"$state/new" 2>>"$log"
    [ ! -s "$state/new" ] || haves="-c fetch.negotiationAlgorithm=noop"
    [ -f "$common_dir/$upstream_ref" ] || return 0
    git rev-parse -q --verify "$upstream_ref^{commit}" >>"$log" 2>&1 || rm -f -- "$common_dir/$upstream_ref"
}

# `feature` became `feature/x`, or the reverse: git cannot hold both, and the old one is no more.
drop_refs_in_the_way() {
    {
        git for-each-ref --format='%(refname)' "$upstream_ref/"
        parent=$Branch
        while [ "$parent" != "${parent%/*}" ]; do
            parent=${parent%/*}
            git for-each-ref --format='%(refname)' "refs/remotes/origin/$parent" | grep -x "refs/remotes/origin/$parent"
        done
    } | while read -r gone; do
        git update-ref -d "$gone"
    done
}
