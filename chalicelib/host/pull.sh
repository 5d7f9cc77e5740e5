#!/bin/sh
# Pulley on a host: brings a git checkout to its branch, then runs the steps after it.
#
# docs/host.md has the contract. In short: it ends at what is wanted or exactly where it was, says
# which in one line of JSON on stdout, and loses no commit and no edit, killed or not.
# Run as root, it looks up the checkout's owner, becomes that user, and restarts units. Every file
# below the checkout is opened as the owner, so a planted link leads root nowhere.
# By hand: SSM_Target=web SSM_Repository=o/r SSM_Checkout=/srv/site SSM_Branch=main sh pull.sh

set -u
kept_back=10       # seconds before Timeout at which all is over
log_bytes=1048576  # of the log on the host, before it is rotated

main() {
    read_clock
    started=${started:-$now}
    exec 3>&1 1>&2 </dev/null # stdout is for the result line alone
    trap 'finish broken "stopped by a signal"' HUP INT TERM
    trap 'finish broken "the script came to an unexpected end"' EXIT
    read_parameters
    check_parameters
    deadline=$((started + (Timeout - kept_back) * 100))
    become_owner
    enter_checkout
    if [ "$Update" = check ]; then
        look
    fi
    take_lock
    accept_issued
    mend
    check_remote
    fetch
    stop_if_done
    check_tools
    update
    deploy
}

# --- Parameters -----------------------------------------------------------------------------------

# The agent sets SSM_<Name>; one older than 3.3.2746.0 writes the values into this text instead.
read_parameters() {
    Target=${SSM_Target-'{{ Target }}'}
    Repository=${SSM_Repository-'{{ Repository }}'}
    Checkout=${SSM_Checkout-'{{ Checkout }}'}
    Branch=${SSM_Branch-'{{ Branch }}'}
    Commit=${SSM_Commit-'{{ Commit }}'}
    Update=${SSM_Update-'{{ Update }}'}
    AfterPull=${SSM_AfterPull-'{{ AfterPull }}'}
    Restart=${SSM_Restart-'{{ Restart }}'}
    HealthCheck=${SSM_HealthCheck-'{{ HealthCheck }}'}
    Timeout=${SSM_Timeout-'{{ Timeout }}'}
    Issued=${SSM_Issued-'{{ Issued }}'}
    Cause=${SSM_Cause-'{{ Cause }}'}
    # By hand, what is not given still has its braces, which no value may have.
    for name in Target Repository Checkout Branch Commit AfterPull Restart HealthCheck Issued; do
        eval "case \$$name in '{'*) $name= ;; esac"
    done
    case $Update in '{'*) Update=rebase ;; esac
    case $Timeout in '{'*) Timeout=600 ;; esac
    case $Cause in '{'*) Cause=manual ;; esac
}

check_parameters() {
    an=A-Za-z0-9
    check Target "$Target" a-z0-9 a-z0-9- 50
    known_target=$Target # only now may it stand in the result
    check Repository "$Repository" "$an" "${an}._/-" 170
    check Checkout "$Checkout" / "${an}./@+=,_-" 600
    check Branch "$Branch" "${an}_" "${an}./@+=,#%_-" 200
    check Timeout "$Timeout" 1-9 0-9 6
    case $Repository in
        */*/* | */ | */. | */..) bad "Repository must be owner/name" ;;
        */*) ;;
        *) bad "Repository must be owner/name" ;;
    esac
    case $Checkout/ in */../*) bad "Checkout must not have .. in it" ;; esac
    case /$Branch/ in
        *..* | *//* | */.* | *./* | *.lock/* | /HEAD/ | /refs/*) bad "Branch is no branch's name" ;;
    esac
    case $Update in
        rebase | reset | exact | check) ;;
        *) bad "Update must be rebase, reset, exact or check" ;;
    esac
    case $Cause in
        push | reconcile | rollback | manual) ;;
        *) bad "Cause must be push, reconcile, rollback or manual" ;;
    esac
    [ "$Timeout" -ge 20 ] || bad "Timeout must be 20 seconds or more"
    if [ -n "$Commit" ]; then
        check Commit "$Commit" 0-9a-f 0-9a-f 40
        [ ${#Commit} -eq 40 ] || bad "Commit must have 40 digits"
    fi
    [ "$Update" != exact ] || [ -n "$Commit" ] || bad "Update=exact needs a Commit"
    [ -z "$Issued" ] || check Issued "$Issued" 0-9 0-9 15
    if [ -n "$AfterPull" ]; then
        check AfterPull "$AfterPull" "${an}._" "${an}._/+-" 201
        case /$AfterPull/ in */../* | */.git/*) bad "AfterPull must be in the repository" ;; esac
    fi
    [ -z "$Restart" ] || check Restart "$Restart" "${an}_" "${an}.:@,_-" 401
    if [ -n "$HealthCheck" ]; then
        check HealthCheck "$HealthCheck" h "${an}.:/?&=%~+,;@#*!()_-" 408
        case $HealthCheck in
            http://?* | https://?*) ;;
            *) bad "HealthCheck must be an http:// or https:// URL" ;;
        esac
    fi
}

# Refuse an empty value, one that begins with or has a character outside the sets, one too long.
check() { # name value first rest longest
    case $2 in
        '') bad "$1 is missing" ;;
        [!$3]* | ?*[!$4]*) bad "$1 has a character that is not allowed there" ;;
    esac
    [ ${#2} -le "$5" ] || bad "$1 has more than $5 characters"
}

bad() {
    finish bad_parameter "$1"
}

# --- The owner ------------------------------------------------------------------------------------

# Go on as the checkout's owner, in the same process group, so that the agent's kill still reaches
# all of it. The script's text goes in by stdin: the owner may not read the agent's folder.
become_owner() {
    while read -r key _ euid _; do
        [ "$key" != Uid: ] || break
    done </proc/self/status
    [ "$euid" -eq 0 ] || return 0
    uid=$(stat -L -c %u -- "$Checkout" 2>/dev/null) || finish no_checkout "$Checkout is not there"
    [ "$uid" -ne 0 ] || return 0
    entry=$(getent passwd "$uid") || finish no_checkout "no user has the uid $uid, which owns $Checkout"
    IFS=: read -r owner _ _ gid _ HOME _ <<EOF
$entry
EOF
    export HOME USER="$owner" LOGNAME="$owner" PULLEY_STARTED="$started"
    unset SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND
    if command -v setpriv >/dev/null; then
        set -- setpriv --reuid="$uid" --regid="$gid" --init-groups --
    else
        set -- runuser -u "$owner" --
    fi
    [ -f "$0" ] || finish no_checkout "as root, run this script from a file"
    if [ -z "$Restart" ]; then
        exec "$@" "${BASH:-sh}" -s <"$0" 1>&3 3>&-
    fi
    # The owner asks on 4 and reads the answer on 5; root reads the one and writes the other.
    fifo=$(mktemp -d) && mkfifo "$fifo/answers" && exec 7<>"$fifo/answers" &&
        exec 5<"$fifo/answers" 6>"$fifo/answers" 7>&- && rm -r "$fifo" ||
        finish broken "root cannot make a temporary folder"
    trap - EXIT # the answering end tells
    PULLEY_ASKS=root "$@" "${BASH:-sh}" -s <"$0" 4>&1 1>&3 3>&- 6>&- | answer_owner
    exit $?
}

# Root's part while the owner's runs: restart the units that the document named, and nothing else.
answer_owner() {
    while read -r request status; do
        case $request in
            restart)
                systemctl_restart "$status"
                echo $? >&6
                ;;
            exit) exit "$status" ;;
        esac
    done
    finish broken "the run was killed"
}

systemctl_restart() { # seconds
    (
        IFS=,
        # shellcheck disable=SC2086 # a word a unit is what is wanted, and no unit has a glob in it
        timeout --foreground -k 5 "$1" systemctl reload-or-restart -- $Restart
    )
}

# --- The checkout ---------------------------------------------------------------------------------

enter_checkout() {
    unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR GIT_NAMESPACE SSH_ASKPASS GIT_ASKPASS
    export GIT_TERMINAL_PROMPT=0
    command -v git >/dev/null || finish no_checkout "git is not installed"
    cd -- "$Checkout" 2>/dev/null || finish no_checkout "$Checkout is not there, or not to be entered"
    [ -e .git ] || finish no_checkout "$Checkout is not a git work tree"
    if [ -d .git ] && [ ! -L .git ]; then
        git_dir=$PWD/.git common_dir=$PWD/.git
    else # a linked work tree, or a submodule
        git_dir=$(git rev-parse --absolute-git-dir 2>/dev/null) &&
            common_dir=$(cd "$(git rev-parse --git-common-dir)" && pwd -P) ||
            finish no_checkout "$Checkout is not a git work tree"
    fi
    state=$git_dir/pulley
    log=$state/run.log
    local_ref=refs/heads/$Branch
    upstream_ref=refs/remotes/origin/$Branch
}

# git as every step wants it. Nothing that it leaves behind may hold the lock or root's ear, or keep
# the agent waiting for the end of stdout or stderr; so callers send its output to a file.
git() {
    set -- -c gc.auto=0 -c maintenance.auto=false -c core.logAllRefUpdates=true -c core.fsmonitor=false \
        -c commit.gpgSign=false -c submodule.recurse=false -c rebase.autoStash=false "$@"
    if [ -n "${within-}" ]; then
        LC_ALL=C timeout --foreground -k 5 "$within" git "$@" 3>&- 4>&- 5<&- 9>&-
    else
        LC_ALL=C command git "$@" 3>&- 4>&- 5<&- 9>&-
    fi
}

take_lock() {
    [ -d "$state" ] || mkdir -p "$state" || finish no_checkout "cannot write below $git_dir"
    command exec 9<>"$state/lock" || finish no_checkout "cannot write $state/lock"
    command -v flock >/dev/null || finish no_checkout "flock (util-linux) is not installed"
    seconds_left
    flock -w $((left / 2)) 9 || finish busy "another run held the lock for $((left / 2)) seconds"
    true >"$log" || finish no_checkout "cannot write $log"
}

# SSM gives no order, so a run older than the newest accepted one does nothing. The lock's own file
# keeps that one's time; it is written in place, in one write, so a kill cannot leave half of it.
accept_issued() {
    read_marker
    [ -n "$Issued" ] || return 0
    newest=0
    read -r newest <"$state/lock" || newest=0
    if [ "$Issued" -lt "${newest:-0}" ]; then
        upstream=$marker_upstream
        before=$(git rev-parse -q --verify HEAD) && after=$before
        finish superseded "a newer command was here first"
    fi
    printf '%015d\n' "${Issued#"${Issued%%[!0]*}"}" 1<>"$state/lock" || finish no_checkout "cannot write $state/lock"
}

read_marker() {
    marker_commit='' marker_upstream='' marker_target='' marker_steps='' marker_slot=0
    [ -f "$state/deployed" ] || return 0
    while read -r key value; do
        case $key in
            commit) marker_commit=$value ;;
            upstream) marker_upstream=$value ;;
            target) marker_target=$value ;;
            slot) marker_slot=$value ;;
            steps) marker_steps=$value ;;
        esac
    done <"$state/deployed"
}

# The remote must be the repository's; one on this machine is let pass.
check_remote() {
    url='' ssh=${GIT_SSH_COMMAND-}
    remote=$(git config --get-regexp '^(remote\.origin\.url|core\.sshcommand)$' 2>/dev/null)
    while read -r key value; do
        case $key in
            remote.origin.url) url=$value ;;
            core.sshcommand) ssh=${GIT_SSH_COMMAND-$value} ;;
        esac
    done <<EOF
$remote
EOF
    export GIT_SSH_COMMAND="${ssh:-ssh} -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
    case $url in
        '') finish no_checkout "$Checkout has no remote named origin" ;;
        /* | ./* | ../* | file://*) return 0 ;;
        *://*) path=${url#*://} path=${path#*/} ;;
        *:*) path=${url#*:} path=${path#/} ;;
        *) return 0 ;;
    esac
    path=${path%/} path=${path%.git}
    [ "$path" = "$Repository" ] && return 0
    [ "$(echo "$path" | tr '[:upper:]' '[:lower:]')" = "$(echo "$Repository" | tr '[:upper:]' '[:lower:]')" ] ||
        finish no_checkout "origin is $path, not $Repository"
}

# --- Mending --------------------------------------------------------------------------------------

# A move (below) writes down first where it goes from, so that a killed one can be taken back. What
# other git commands left when they were killed is cleared too; what a person is in the middle of
# is not ours to touch.
mend() {
    clear_locks
    if [ -s "$state/moving" ]; then
        take_back
    fi
    for dir in rebase-merge rebase-apply; do
        [ ! -d "$git_dir/$dir" ] || mend_rebase "$git_dir/$dir"
    done
    for name in MERGE_HEAD REVERT_HEAD CHERRY_PICK_HEAD; do
        [ -e "$git_dir/$name" ] || continue
        if [ $name = CHERRY_PICK_HEAD ] && [ -z "$(git ls-files -u)" ] && [ ! -e "$git_dir/sequencer" ]; then
            rm -f "$git_dir/$name" # a killed rebase leaves it
        else
            finish conflict "someone is in the middle of something here ($name)"
        fi
    done
    # Older than all that this run will write into the work tree.
    true >"$state/since" || finish no_checkout "cannot write $state/since"
}

# A lock is dead where no other git of this user is at work in this checkout.
clear_locks() {
    set --
    for lock in "$git_dir"/*.lock "$common_dir"/*.lock "$common_dir/$local_ref.lock" \
        "$common_dir/$upstream_ref.lock" "$common_dir"/refs/pulley/*/*.lock; do
        [ ! -e "$lock" ] || set -- "$@" "$lock"
    done
    [ $# -gt 0 ] || return 0
    waited=0
    while git_is_at_work; do
        seconds_left
        [ $waited -lt 30 ] && [ "$left" -gt 10 ] || finish busy "another git is at work in $Checkout"
        sleep 1
        waited=$((waited + 1))
    done
    rm -f -- "$@"
}

git_is_at_work() {
    for proc in /proc/[0-9]*; do
        read -r name <"$proc/comm" || continue
        case $name in git | git-*) ;; *) continue ;; esac
        case $(readlink "$proc/cwd") in "$PWD" | "$PWD"/*) return 0 ;; esac
    done 2>/dev/null
    return 1
}

# A rebase that is not Pulley's: dead if it stopped nowhere that a person would have to go on from.
mend_rebase() { # folder
    last=''
    [ ! -f "$1/done" ] || while read -r line; do last=$line; done <"$1/done"
    case $last in break* | b | exec* | x\ * | edit* | e\ *) last=stopped ;; esac
    if [ "$last" = stopped ] || [ -e "$1/stopped-sha" ] || [ -e "$1/applying" ] ||
        [ -n "$(git ls-files -u)" ] || git_is_at_work; then
        finish conflict "someone is in the middle of a rebase here"
    fi
    head_name='' orig_head='' onto='' autostash=''
    [ ! -f "$1/head-name" ] || read -r head_name <"$1/head-name"
    [ ! -f "$1/orig-head" ] || read -r orig_head <"$1/orig-head"
    [ ! -f "$1/onto" ] || read -r onto <"$1/onto"
    [ ! -f "$1/autostash" ] || read -r autostash <"$1/autostash"
    # Of someone who came after the kill; or halves of files, and then it does no harm.
    found=$(git stash create "pulley: found on $Target" 2>>"$log")
    if [ -n "$found" ]; then
        name_saved_ref
        git update-ref "$ref" "$found"
    fi
    if [ -n "$autostash" ]; then
        name_saved_ref
        autostash_ref=$ref
        git update-ref "$autostash_ref" "$autostash"
    fi
    if [ -n "$orig_head" ] && [ -n "$onto" ]; then
        remove_added "$orig_head" "$onto" "$1/onto"
    fi
    case $head_name in
        refs/*) git symbolic-ref HEAD "$head_name" ;;
        ?*) [ -z "$orig_head" ] || git update-ref --no-deref HEAD "$orig_head" ;;
    esac
    git reset -q --hard >>"$log" 2>&1
    rm -rf -- "$1" "$git_dir/CHERRY_PICK_HEAD" "$git_dir/REBASE_HEAD" "$git_dir/AUTO_MERGE"
    [ -z "$autostash" ] || put_back "$autostash" "$autostash_ref"
}

# --- Moving ---------------------------------------------------------------------------------------

# HEAD, branch, index and work tree go to a commit. Local edits come along (carry) or stay under a
# ref (save). It succeeds, or leaves all as it was and ends the run with `conflict`.
move() { # carry|save commit -B branch | --detach
    edits_go=$1 to=$2
    shift 2
    begin_move
    checkout "$@" "$to" || give_up_move
    end_move
}

# Local commits since `base` are made again on top of upstream, with the branch at the last of them.
rebase() { # base
    edits_go=carry to=$upstream
    begin_move
    checkout --detach "$upstream" || give_up_move
    git config user.email >/dev/null || export GIT_COMMITTER_NAME=Pulley GIT_COMMITTER_EMAIL=pulley@localhost
    GIT_EDITOR=: GIT_SEQUENCE_EDITOR=: git -c rebase.updateRefs=false -c rebase.autoSquash=false \
        rebase -q --onto "$upstream" "$1" "$Branch" >"$state/git.err" 2>&1 || give_up_move
    end_move
}

# What is edited goes into a commit under a ref, then out of the work tree. From here until the
# move's end all of the work tree is in commits, so that it can be taken back from any state.
begin_move() {
    edits='' edits_ref=''
    edits=$(git stash create "pulley: edits on $Target" 2>"$state/git.err") || finish conflict "$(first_error)"
    if [ -n "$edits" ]; then
        name_saved_ref
        edits_ref=$ref
        git update-ref "$edits_ref" "$edits" || finish conflict "cannot save the local edits"
    fi
    echo "$head_ref $head $to ${tip:--} ${edits:--} ${edits_ref:--}" >"$state/moving" ||
        finish conflict "cannot write $state/moving"
    [ -z "$edits" ] || git reset -q --hard >>"$log" 2>&1 || give_up_move
}

# Edits that are carried come back; where they do not fit any more, they stay saved.
end_move() {
    if [ -n "$edits" ] && [ "$edits_go" = carry ]; then
        put_back "$edits" "$edits_ref"
    elif [ -n "$edits" ]; then
        saved=$edits_ref
    fi
    true >"$state/moving"
}

give_up_move() {
    why=$(first_error)
    cat "$state/git.err" >>"$log"
    in_conflict=$(git diff --name-only --diff-filter=U | head -n 1)
    take_back
    finish conflict "${in_conflict:+conflict in $in_conflict: }$why"
}

# --no-overwrite-ignore: an ignored file (a host's own settings) is no more to be lost than others.
checkout() {
    git checkout -q --no-overwrite-ignore "$@" -- >"$state/git.err" 2>&1
}

put_back() { # commit ref
    if git stash apply -q "$1" >>"$log" 2>&1; then
        git update-ref -d "$2"
    else
        git reset -q --hard >>"$log" 2>&1
        saved=$2
    fi
}

# Everything back to where a move began. Done twice, or killed and done again, it ends the same.
take_back() {
    read -r was_ref was was_to was_tip was_edits was_edits_ref <"$state/moving" ||
        finish no_checkout "cannot read $state/moving"
    rm -rf -- "$git_dir/rebase-merge" "$git_dir/CHERRY_PICK_HEAD" "$git_dir/REBASE_HEAD" "$git_dir/AUTO_MERGE"
    clear_locks
    [ "$was_tip" = - ] || git update-ref "$local_ref" "$was_tip"
    case $was_ref in
        refs/*) git symbolic-ref HEAD "$was_ref" ;;
        *) git update-ref --no-deref HEAD "$was" ;;
    esac
    if [ "$was_tip" = - ] && git rev-parse -q --verify "$local_ref" >/dev/null; then
        git update-ref -d "$local_ref"
    fi
    remove_added "$was" "$was_to" "$state/since"
    git reset -q --hard "$was" >>"$log" 2>&1
    if [ "$was_edits" != - ]; then
        remove_added "$was" "$was_edits" "$state/since"
        git stash apply -q --index "$was_edits" >>"$log" 2>&1 || git stash apply -q "$was_edits" >>"$log" 2>&1 ||
            finish broken "local edits could not be put back; they are under $was_edits_ref"
        git update-ref -d "$was_edits_ref"
    fi
    true >"$state/moving"
}

# Files that a killed checkout began to write: in `to`, not in `from`, and either newer than the
# reference or the same as in `to`. A file that was there before it, with other content, stays.
remove_added() { # from to reference
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" | xargs -0 -r sh -c '
        to=$1 reference=$2
        shift 2
        for file; do
            [ -e "./$file" ] || [ -L "./$file" ] || continue
            [ "./$file" -nt "$reference" ] ||
                [ "$(git hash-object -- "./$file")" = "$(git rev-parse -q --verify "$to:$file")" ] ||
                continue
            rm -f -- "./$file"
        done' sh "$2" "$3"
}

# A new name under which to keep what must not be lost.
name_saved_ref() {
    saved_refs=$((saved_refs + 1))
    ref=refs/pulley/saved/$(date -u +%Y%m%dT%H%M%SZ)-$$-$saved_refs
}

# --- Fetching -------------------------------------------------------------------------------------

# Until the remote answers and has the commit, or the time or the patience is up.
fetch() {
    delay=1
    while :; do
        if fetch_once; then
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

fetch_once() {
    seconds_left
    limit=$((left > 20 ? left / 2 : left))
    within=$limit git -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30 fetch -q --no-tags --no-recurse-submodules \
        --refmap= origin "+refs/heads/$Branch:$upstream_ref" >"$state/git.err" 2>&1 && return 0
    status=$?
    cat "$state/git.err" >>"$log"
    why=unreachable words=$(first_error)
    if [ $status -eq 124 ]; then
        words="the remote did not answer within $limit seconds"
    fi
    case $words in
        *"couldn't find remote ref"*) why=missing_commit words="the remote has no branch $Branch" ;;
        *"cannot lock ref"* | *"unable to create"* | *"Unable to create"*)
            drop_refs_in_the_way
            clear_locks
            ;;
    esac
    return 1
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
    } | while read -r ref; do
        git update-ref -d "$ref"
    done
}

look_at_refs() {
    if refs=$(git rev-parse HEAD "$upstream_ref" "$local_ref" --symbolic-full-name HEAD 2>/dev/null); then
        # shellcheck disable=SC2086 # four words, none of them with a space
        set -- $refs
        head=$1 upstream=$2 tip=$3 head_ref=$4
    else # no local branch yet
        tip=''
        upstream=$(git rev-parse -q --verify "$upstream_ref")
        head=$(git rev-parse -q --verify HEAD) || finish no_checkout "the checkout has no commit yet: clone it again"
        head_ref=$(git rev-parse --symbolic-full-name HEAD)
    fi
    before=${before:-$head}
}

# The commit is in what was fetched; or it is known, but on a line that the branch has left.
has_commit() {
    superseded=''
    [ -n "$Commit" ] && [ "$Commit" != "$upstream" ] || return 0
    git cat-file -e "$Commit^{commit}" 2>/dev/null || return 1
    if git merge-base --is-ancestor "$Commit" "$upstream"; then
        return 0
    fi
    if [ "$Update" = exact ]; then
        [ -n "$(git for-each-ref --contains "$Commit" refs/pulley/deployed)" ]
        return
    fi
    if git merge-base --is-ancestor "$upstream" "$Commit"; then
        return 1 # the remote's replicas lag
    fi
    superseded=superseded
}

# --- Updating -------------------------------------------------------------------------------------

# Fetched is not deployed: the marker is written after the last step.
stop_if_done() {
    steps="$AfterPull|$Restart|$HealthCheck"
    local_commits=0
    if [ "$Update" = exact ]; then
        upstream=$Commit
        [ "$head_ref" = HEAD ] || return 0
    else
        [ "$head_ref" = "$local_ref" ] || return 0
    fi
    if [ "$head" = "$marker_commit" ] && [ "$upstream" = "$marker_upstream" ] && is_deployed_here; then
        after=$head
        [ "$head" = "$upstream" ] || local_commits=$(git rev-list --count "$upstream..$head")
        if [ "$Update" != reset ] || [ "$local_commits" -eq 0 ]; then
            finish "${superseded:-unchanged}"
        fi
    fi
}

is_deployed_here() {
    [ "$Target" = "$marker_target" ] && [ "$steps" = "$marker_steps" ]
}

# What a step will need is looked for before anything moves.
check_tools() {
    if [ -n "$HealthCheck" ] && ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
        finish no_checkout "the health check needs curl or wget on the host"
    fi
    uses_lfs=''
    if git cat-file -p "$upstream:.gitattributes" 2>/dev/null | grep -q 'filter=lfs'; then
        uses_lfs=yes
        command -v git-lfs >/dev/null || finish no_checkout "the repository uses LFS, and git-lfs is not installed"
    fi
}

update() {
    case $Update in
        exact)
            save_commits "$head"
            move save "$Commit" --detach
            ;;
        reset)
            save_commits "$head"
            [ -z "$tip" ] || [ "$tip" = "$head" ] || save_commits "$tip"
            move save "$upstream" -B "$Branch"
            ;;
        *)
            [ "$head_ref" != HEAD ] || save_commits "$head"
            update_by_rebase "${tip:-$upstream}"
            ;;
    esac
    after=$(git rev-parse HEAD)
}

update_by_rebase() { # branch's commit
    # shellcheck disable=SC2046 # two numbers
    set -- "$1" $(git rev-list --left-right --count "$1...$upstream")
    local_commits=$2
    if [ "$2" -gt 0 ] && [ "$3" -gt 0 ]; then
        find_base "$1"
        [ -n "$base" ] || finish conflict "$Branch and its upstream have no commit in common"
    fi
    if [ "$3" -eq 0 ]; then # nothing new upstream
        [ "$head_ref" = "$local_ref" ] || move carry "$1" -B "$Branch"
    elif [ "$local_commits" -eq 0 ]; then
        move carry "$upstream" -B "$Branch"
    else
        rebase "$base"
        local_commits=$(git rev-list --count "$upstream..HEAD")
    fi
}

# Where local commits begin, and how many there are. Upstream may have been rewritten since, so its
# reflog is asked for the tip that they were made on, and the marker for the one deployed last.
find_base() { # commit
    base=$(git merge-base --fork-point "$upstream_ref" "$1") || base=$(git merge-base "$upstream" "$1") || base=''
    if [ -n "$marker_upstream" ] && git merge-base --is-ancestor "$marker_upstream" "$1" 2>/dev/null &&
        { [ -z "$base" ] || git merge-base --is-ancestor "$base" "$marker_upstream"; }; then
        base=$marker_upstream
    fi
    local_commits=$(git rev-list --count "${base:+$base..}$1")
}

# Local commits that leave the branch, or that no branch has, stay under a ref.
save_commits() { # commit
    [ -n "$(git rev-list -n 1 "$1" --not "$upstream" --remotes)" ] || return 0
    find_base "$1"
    [ "$local_commits" -gt 0 ] || return 0
    local_commits=0
    name_saved_ref
    saved=$ref
    git update-ref "$saved" "$1" || finish conflict "cannot save the local commits"
}

# --- Steps ----------------------------------------------------------------------------------------

deploy() {
    if [ "$after" = "$marker_commit" ] && is_deployed_here; then
        write_marker
        finish "${superseded:-unchanged}"
    fi
    seconds_left
    kept_for_going_back=$((left / 3))
    if run_steps "$after" "$marker_commit" "$Cause"; then
        write_marker
        true >"$state/failed"
        if [ "$before" = "$after" ] && [ "$steps" = '||' ]; then
            finish "${superseded:-unchanged}"
        fi
        finish "${superseded:-updated}"
    fi
    count_failure
    roll_back
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

update_submodules() {
    step_within git submodule --quiet sync --recursive &&
        step_within git submodule --quiet update --init --recursive
}

run_after_pull() {
    if [ ! -x "./$AfterPull" ] || [ ! -f "./$AfterPull" ]; then
        words="$AfterPull is not an executable file in the repository"
        return 1
    fi
    step_within "./$AfterPull"
}

# Within the time that is left for steps, its output in the log. What it leaves running holds
# neither the lock nor the agent.
step_within() {
    time_for_steps
    echo "== $step: $*" >>"$log"
    timeout --foreground -k 5 "$left" "$@" >>"$log" 2>&1 3>&- 4>&- 5<&- 9>&-
    status=$?
    case $status in
        0) return 0 ;;
        124 | 137) words="it took longer than $left seconds" ;;
        *) words="exit code $status: $(tail -n 1 "$log")" ;;
    esac
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

check_health() {
    time_for_steps
    tries_end=$((now + (left < 60 ? left : 60) * 100))
    echo "== health_check: $HealthCheck" >>"$log"
    while :; do
        if command -v curl >/dev/null; then
            answer=$(curl -gsS -o /dev/null -w '%{http_code}' --max-time 5 -- "$HealthCheck" 2>>"$log" 9>&-)
        elif wget -q -O /dev/null -T 5 -t 1 -- "$HealthCheck" 2>>"$log" 9>&-; then
            answer=200
        else
            answer=000
        fi
        case $answer in 2??) return 0 ;; esac
        read_clock
        [ "$now" -lt "$tries_end" ] || break
        sleep 1
    done
    words="the last answer was $answer"
    [ "$answer" != 000 ] || words="no answer"
    return 1
}

# A commit that fails is remembered with how often it did.
count_failure() {
    failed_commit='' attempts=0
    [ ! -f "$state/failed" ] || read -r failed_commit attempts <"$state/failed"
    [ "$failed_commit" = "$after" ] || attempts=0
    attempts=$((attempts + 1))
    echo "$after $attempts" >"$state/failed"
    words="$words (attempt $attempts)"
}

roll_back() {
    failed_step=$step
    failed_words=$words
    if [ -z "$marker_commit" ] || [ "$marker_commit" = "$after" ]; then
        finish broken "$failed_words; no other commit was deployed here to go back to"
    fi
    conflict_means=broken
    kept_for_going_back=0
    # Local commits that were not deployed before would be in no branch any more.
    if [ -n "$(git rev-list -n 1 --cherry-pick --right-only "$marker_commit...$after" --not "$upstream")" ]; then
        name_saved_ref
        saved=$ref
        git update-ref "$saved" "$after" || finish broken "$failed_words; cannot save the local commits"
    fi
    failed=$after
    head=$after
    if [ "$Update" = exact ]; then
        move carry "$marker_commit" --detach
    else
        head_ref=$local_ref tip=$after
        move carry "$marker_commit" -B "$Branch"
    fi
    after=$marker_commit
    local_commits=$(git rev-list --count "$marker_upstream..$after")
    if run_steps "$after" "$failed" rollback; then
        step=$failed_step
        finish rolled_back "$failed_words"
    fi
    finish broken "$failed_words; and going back: $step: $words"
}

# Written beside and renamed: half a marker would be taken for a whole one.
write_marker() {
    if [ "$after" != "$marker_commit" ]; then
        marker_slot=$(((marker_slot + 1) % 10))
        git update-ref "refs/pulley/deployed/$marker_slot" "$after" >>"$log" 2>&1
    fi
    printf 'commit %s\nupstream %s\ntarget %s\nslot %s\nsteps %s\n' \
        "$after" "$upstream" "$Target" "$marker_slot" "$steps" >"$state/deployed.new" &&
        mv -f "$state/deployed.new" "$state/deployed" ||
        finish broken "the steps are done, but the marker could not be written"
}

# --- Looking --------------------------------------------------------------------------------------

# Update=check: what a run would do and what the host has. Changes nothing.
look() {
    read_marker
    check_remote
    head=$(git rev-parse -q --verify HEAD)
    before=$head after=$head
    remote=$(within=30 git ls-remote origin "refs/heads/$Branch" 2>/dev/null) || finish unreachable "the remote did not answer"
    upstream=${remote%%[!0-9a-f]*}
    [ -n "$upstream" ] || finish missing_commit "the remote has no branch $Branch"
    would="nothing to do"
    if [ "$head" != "$marker_commit" ] || [ "${Commit:-$upstream}" != "$marker_upstream" ]; then
        would="would update to ${Commit:-$upstream}"
    fi
    read -r name <<EOF
$(id -un)
EOF
    free=$(df -Pm . | while read -r _ _ _ free _; do echo "$free"; done | tail -n 1)
    lfs=no
    ! command -v git-lfs >/dev/null || lfs=yes
    finish unchanged "$would; owner $name; $(git --version); $free MiB free; git-lfs: $lfs"
}

# --- The clock and the result ---------------------------------------------------------------------

# Since boot, in hundredths of a second, without starting a process.
read_clock() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

seconds_left() {
    read_clock
    left=$(((deadline - now) / 100))
    [ "$left" -gt 1 ] || left=1
}

time_for_steps() {
    seconds_left
    left=$((left - kept_for_going_back))
    [ "$left" -gt 1 ] || left=1
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
        esac
    done <"$state/git.err"
    echo "${error:-git gave no reason}"
}

finish() { # outcome detail
    trap '' HUP INT TERM
    trap - EXIT
    outcome=$1
    [ "$outcome" != conflict ] || outcome=${conflict_means:-conflict}
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
    if [ -n "${git_dir-}" ] && [ $code -ne 0 ]; then
        after=$(git rev-parse -q --verify HEAD 2>/dev/null) || after=''
        before=${before:-$after}
    fi
    keep_log
    read_clock
    took=$((now - started))
    printf '{"v":1,"target":"%s","outcome":"%s","before":%s,"after":%s,"upstream":%s,"local_commits":%d,"saved":%s,"step":%s,"detail":"%s","seconds":%d.%d}\n' \
        "$known_target" "$outcome" "$(quoted "$before")" "$(quoted "$after")" "$(quoted "$upstream")" "$local_commits" \
        "$(quoted "$saved")" "$(quoted "$step")" "$(plain "${2-}")" $((took / 100)) $((took % 100 / 10)) >&3
    [ -z "$asks" ] || echo "exit $code" >&4
    exit $code
}

quoted() {
    if [ -n "$1" ]; then
        echo "\"$1\""
    else
        echo null
    fi
}

# One line of printable ASCII, without the credentials of a URL, short enough for the result.
plain() {
    [ -n "$1" ] || return 0
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
        cat "$log"
    } >>"$state/log"
}

known_target='' before='' after='' upstream='' saved='' step='' local_commits=0 saved_refs=0
started=${PULLEY_STARTED-} asks=${PULLEY_ASKS-}
unset PULLEY_STARTED PULLEY_ASKS
main
