#!/bin/sh
# Pulley on a host: brings a git checkout to its branch, then runs the steps after it.
#
# docs/host.md has the contract. In short: it ends at what is wanted or exactly where it was, says
# which in one line of JSON on stdout, and loses no commit and no edit, killed or not.
# Run as root, it looks up the checkout's owner, becomes that user, and restarts units. Every file
# below the checkout is opened as the owner, so a planted link leads root nowhere.
# By hand: SSM_Target=web SSM_Repository=o/r SSM_Checkout=/srv/site SSM_Branch=main sh pull.sh

# shellcheck disable=SC2015 # in A && B || C here C ends the run, and a failed B should end it too
set -u
kept_back=10       # seconds before Timeout at which all is over
log_bytes=1048576  # of the log on the host, before it is rotated
ahead=600          # seconds that Issued may be ahead of the host's clock, and still count

main() {
    clean_environment
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

# Nothing of whoever calls may bend what git or this shell does. The locale decides what [a-z] means.
clean_environment() {
    unset LC_ALL CDPATH ENV BASH_ENV POSIXLY_CORRECT GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_COMMON_DIR \
        GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_PREFIX GIT_SHALLOW_FILE \
        GIT_GRAFT_FILE GIT_REPLACE_REF_BASE GIT_CONFIG GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_EXEC_PATH \
        GIT_QUARANTINE_PATH GIT_CEILING_DIRECTORIES GIT_LITERAL_PATHSPECS GIT_GLOB_PATHSPECS \
        GIT_NOGLOB_PATHSPECS GIT_ICASE_PATHSPECS GIT_EXTERNAL_DIFF GIT_DIFF_OPTS GIT_REFLOG_ACTION \
        GIT_ASKPASS SSH_ASKPASS
    LC_ALL=C # not exported: for this shell, not for the steps
    case $started in *[!0-9]*) started='' ;; esac
    [ -z "$asks" ] || { true >&4; } 2>/dev/null || asks=''
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
    [ -z "$Restart" ] || check_units
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

# Units that run something of a site's: starting a target, like poweroff.target, stops or changes others.
check_units() {
    check Restart "$Restart" "${an}_" "${an}.:@,_-" 401
    units=$Restart,
    while [ -n "$units" ]; do
        unit=${units%%,*} units=${units#*,}
        case $unit in
            '' | [!A-Za-z0-9_]*) bad "Restart must be units separated by commas" ;;
            *.service | *.socket | *.timer | *.path) ;;
            *.*) bad "Restart takes .service, .socket, .timer and .path, not $unit" ;;
        esac
    done
}

bad() {
    finish bad_parameter "$1"
}

# --- The owner ------------------------------------------------------------------------------------

# Go on as the checkout's owner, in the same process group, so that the agent's kill still reaches
# all of it. The script's text goes in by stdin: the owner may not read the agent's folder.
# The checkout is entered once, here, and judged from inside: whoever may rename it could have its
# path lead to a folder of someone else's, with links planted there, at any time.
become_owner() {
    while read -r key _ euid _; do
        [ "$key" != Uid: ] || break
    done </proc/self/status
    [ "$euid" -eq 0 ] || return 0
    case :${PATH-}: in *:[!/]*) PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ;; esac
    case $0 in /*) script=$0 ;; *) script=$PWD/$0 ;; esac
    go_in
    { read -r uid mode && read -r git_uid git_mode; } <<EOF || finish no_checkout "$Checkout is not a git work tree"
$(stat -c '%u %a' . .git 2>/dev/null)
EOF
    [ "$uid" = "$git_uid" ] || finish no_checkout "$Checkout belongs to the uid $uid, and its .git to $git_uid"
    if [ "$uid" -eq 0 ]; then
        case " $mode $git_mode " in
            *[2367]" "* | *[2367]?" "*) finish no_checkout "$Checkout is root's, and others may write to it or its .git" ;;
        esac
        return 0
    fi
    [ -f "$script" ] || finish no_checkout "as root, run this script from a file"
    entry=$(getent passwd "$uid" || grep -m 1 "^[^:]*:[^:]*:$uid:" /etc/passwd) || finish no_checkout "no user has the uid $uid, which owns $Checkout"
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
    trap : HUP INT TERM # the owner's run tells; it goes by these itself
    if [ -z "$Restart" ]; then
        "$@" "${BASH:-sh}" -s inside <"$script" 1>&3 3>&-
        exit_as_owner $?
    fi
    # The owner asks on 4 and reads the answer on 5; root reads the one and writes the other.
    # shellcheck disable=SC2094 # both ends of a pipe are opened, on purpose
    fifo=$(mktemp -d) && mkfifo "$fifo/answers" && exec 7<>"$fifo/answers" &&
        exec 5<"$fifo/answers" 6>"$fifo/answers" 7>&- && rm -r "$fifo" ||
        finish broken "root cannot make a temporary folder"
    trap - EXIT # the answering end tells
    PULLEY_ASKS=root "$@" "${BASH:-sh}" -s inside <"$script" 4>&1 1>&3 3>&- 6>&- | answer_owner
    exit $?
}

# Root's part while the owner's runs: restart the units that the document named, and nothing else.
answer_owner() {
    trap '' HUP INT TERM
    while read -r request status; do
        case $request in
            restart)
                case $status in '' | *[!0-9]*) status=60 ;; esac
                systemctl_restart "$status"
                echo $? >&6
                ;;
            exit) exit_as_owner "$status" ;;
        esac
    done
    exit_as_owner 137
}

# The owner's run has said all, unless it did not come to its end.
exit_as_owner() { # status
    case $1 in
        0 | 64 | 66 | 69 | 7[0-35])
            trap - EXIT
            exit "$1"
            ;;
        *) finish broken "the run as $owner was killed, or could not begin (status $1)" ;;
    esac
}

systemctl_restart() { # seconds
    (
        IFS=,
        # shellcheck disable=SC2086 # a word a unit is what is wanted, and no unit has a glob in it
        timeout --foreground -k 5 "$1" systemctl reload-or-restart -- $Restart
    )
}

# --- The checkout ---------------------------------------------------------------------------------

go_in() {
    [ -z "$inside" ] || return 0
    cd -- "$Checkout" 2>/dev/null || finish no_checkout "$Checkout is not there, or not to be entered"
    inside=yes
}

enter_checkout() {
    export GIT_TERMINAL_PROMPT=0
    (unset -f git && command -v git >/dev/null) || finish no_checkout "git is not installed"
    go_in
    [ -e .git ] || finish no_checkout "$Checkout is not a git work tree"
    if [ -d .git ] && [ ! -L .git ]; then
        git_dir=.git common_dir=.git # not by the path again
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
# the agent waiting for the end of stdout or stderr; so callers send its output to a file. The
# checkout's hooks do not run: one that fails, hangs or stays would stop a deploy half-way.
git() {
    set -- -c gc.auto=0 -c maintenance.auto=false -c core.logAllRefUpdates=true -c core.fsmonitor=false \
        -c commit.gpgSign=false -c submodule.recurse=false -c rebase.autoStash=false \
        -c core.hooksPath=/dev/null "$@"
    if [ -n "${within-}" ]; then
        LC_ALL=C timeout --foreground -k 5 "$within" git "$@" 3>&- 4>&- 5<&- 9>&-
    else
        LC_ALL=C command git "$@" 3>&- 4>&- 5<&- 9>&-
    fi
}

take_lock() {
    [ -d "$state" ] || mkdir -m 700 "$state" || [ -d "$state" ] || finish no_checkout "cannot write below $git_dir"
    command exec 9<>"$state/lock" || finish no_checkout "cannot write $state/lock"
    command -v flock >/dev/null || finish no_checkout "flock (util-linux) is not installed"
    command -v timeout >/dev/null || finish no_checkout "timeout (coreutils) is not installed"
    seconds_left
    flock -w $((left / 2)) 9 || finish busy "another run held the lock for $((left / 2)) seconds"
    true >"$log" || finish no_checkout "cannot write $log"
}

# SSM gives no order, so a run older than the newest accepted one does nothing. The lock's own file
# keeps that one's time; it is written in place, in one write, so a kill cannot leave half of it.
# One from the future would shut out all that come after it: it runs, but does not count.
accept_issued() {
    read_marker
    [ -n "$Issued" ] || return 0
    newest=''
    read -r newest <"$state/lock"
    case $newest in '' | *[!0-9]*) newest=0 ;; esac
    if [ "$Issued" -lt "$newest" ] && [ "$newest" -le $((($(date +%s) + ahead) * 1000)) ]; then
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
    case $marker_slot in [0-9]) ;; *) marker_slot=0 ;; esac
    case $marker_commit$marker_upstream in *[!0-9a-f]*) marker_commit='' ;; esac
    [ ${#marker_commit} -eq 40 ] && [ ${#marker_upstream} -eq 40 ] || marker_commit='' marker_upstream=''
}

# The remote must be the repository's; one on this machine is let pass.
check_remote() {
    url='' instead='' ssh=${GIT_SSH_COMMAND-}
    remote=$(git config --get-regexp '^(remote\.origin\.url|core\.sshcommand|url\..*\.insteadof)$' 2>/dev/null)
    while read -r key value; do
        case $key in
            remote.origin.url)
                [ -z "$url" ] || [ "$url" = "$value" ] || finish no_checkout "$Checkout has more than one address for origin"
                url=$value
                ;;
            url.*) instead=yes ;;
            core.sshcommand) ssh=${GIT_SSH_COMMAND-$value} ;;
        esac
    done <<EOF
$remote
EOF
    export GIT_SSH_COMMAND="${ssh:-ssh} -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
    [ -z "$url" ] || [ -z "$instead" ] || url=$(git ls-remote --get-url origin)
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
        read -r _ _ _ _ _ _ whole <"$state/moving"
        if [ "$whole" = whole ]; then
            save_what_came_since
            take_back
        fi # else the disk was full, and nothing had moved yet
    fi
    for dir in rebase-merge rebase-apply; do
        [ ! -d "$git_dir/$dir" ] || mend_rebase "$git_dir/$dir"
    done
    for name in MERGE_HEAD REVERT_HEAD BISECT_LOG sequencer CHERRY_PICK_HEAD; do
        [ -e "$git_dir/$name" ] || continue
        if [ $name = CHERRY_PICK_HEAD ] && git diff --cached --quiet; then
            rm -f "$git_dir/$name" # a killed rebase leaves it
        else
            finish conflict "someone is in the middle of something here ($name)"
        fi
    done
}

# A lock is dead where no other git of this user is at work in this checkout.
clear_locks() {
    set --
    for lock in "$git_dir"/*.lock "$common_dir"/*.lock "$common_dir/$local_ref.lock" \
        "$common_dir/$upstream_ref.lock" "$common_dir"/refs/pulley/*/*.lock "$common_dir/packed-refs.new"; do
        [ ! -e "$lock" ] || set -- "$@" "$lock"
    done
    [ $# -gt 0 ] || return 0
    waited=0
    while git_is_at_work || { [ -n "$hidden_git" ] && [ $waited -lt 5 ]; }; do
        seconds_left
        if [ $waited -ge 30 ] || [ "$left" -le 10 ]; then
            ! git_is_at_work || finish busy "another git is at work in $Checkout"
            break
        fi
        sleep 1
        waited=$((waited + 1))
    done
    rm -f -- "$@"
    [ ! -d "$common_dir/modules" ] || find "$common_dir/modules" -name '*.lock' -exec rm -f -- {} +
}

# One that belongs to another user does not show where; it gets time to end.
git_is_at_work() {
    here=$(pwd -P) hidden_git=''
    for proc in /proc/[0-9]*; do
        read -r name <"$proc/comm" || continue
        case $name in git | git-*) ;; *) continue ;; esac
        case $(readlink "$proc/cwd") in
            "$here" | "$here"/*) return 0 ;;
            '') [ ! -d "$proc" ] || hidden_git=yes ;;
        esac
    done 2>/dev/null
    return 1
}

# Between the kill and now someone may have edited or committed here: what the move neither had
# before it nor made itself stays under a ref. (Half of a file, too, does no harm there.)
save_what_came_since() {
    read -r was_ref was was_to was_tip was_edits was_edits_ref _ <"$state/moving"
    beneath=$was
    for commit in "$local_ref" HEAD; do
        git rev-list -n 1 --cherry-pick --right-only "$was...$commit" --not "$was_to" "$was_tip" >"$state/new" 2>>"$log"
        if [ -s "$state/new" ]; then
            name_saved_ref
            git update-ref "$ref" "$commit" && beneath=$ref saved=$ref
        fi
    done
    set -- "$was" "$was_to" HEAD
    [ "$was_edits" = - ] || set -- "$@" "$was_edits"
    tree=$(tree_of_now "$was" "$was_to" 2>>"$log") || return 0
    if for known; do
        git diff-tree -r --no-renames --diff-filter=d --name-only "$known" "$tree"
    done | sort | uniq -c | grep -q "^ *$# "; then
        name_saved_ref
        found=$(git -c user.name=Pulley -c user.email=pulley@localhost \
            commit-tree -p "$beneath" -m "pulley: found on $Target" "$tree") || return 0
        saved=$ref
        git update-ref "$saved" "$found"
    fi
}

# The files that one commit or the other has, as they stand in the work tree.
tree_of_now() ( # from to
    rm -f "$state/index" "$state/index.lock"
    export GIT_INDEX_FILE="$state/index"
    git read-tree "$1" && git add -u &&
        git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" |
        git update-index --add --remove -z --stdin &&
        git write-tree
    status=$?
    rm -f "$state/index"
    exit $status
)

# A rebase that is not Pulley's: dead if it stopped nowhere that a person would have to go on from.
mend_rebase() { # folder
    last=''
    [ ! -f "$1/done" ] || while read -r line; do last=$line; done <"$1/done"
    case $last in break* | b | exec* | x\ * | edit* | e\ *) last=stopped ;; esac
    if [ "$last" = stopped ] || [ -e "$1/stopped-sha" ] || [ -e "$1/applying" ] ||
        [ -n "$(git ls-files -u)" ] || git_is_at_work ||
        { [ "${1##*/}" = rebase-apply ] && ! git diff --cached --quiet; }; then
        finish conflict "someone is in the middle of a rebase here"
    fi
    head_name='' orig_head='' onto='' autostash=''
    [ ! -f "$1/head-name" ] || read -r head_name <"$1/head-name"
    [ ! -f "$1/orig-head" ] || read -r orig_head <"$1/orig-head"
    [ ! -f "$1/onto" ] || read -r onto <"$1/onto"
    [ ! -f "$1/autostash" ] || read -r autostash <"$1/autostash"
    if [ -z "$orig_head$autostash" ]; then # killed before it had moved anything
        rm -rf -- "$1"
        return
    fi
    # Of someone who came after the kill; or halves of files, and then it does no harm.
    found=$(git stash create "pulley: found on $Target" 2>>"$log")
    if [ -n "$found" ]; then
        name_saved_ref
        saved=$ref
        git update-ref "$saved" "$found"
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
    reset_hard HEAD
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
    after=$to
}

# Local commits since `base` are made again on top of upstream, with the branch at the last of them.
rebase() { # base
    edits_go=carry to=$upstream
    begin_move
    checkout --detach "$upstream" || give_up_move
    git config user.email >/dev/null || export GIT_COMMITTER_NAME=Pulley GIT_COMMITTER_EMAIL=pulley@localhost
    time_to_move
    GIT_EDITOR=: GIT_SEQUENCE_EDITOR=: within=$left git -c rebase.updateRefs=false -c rebase.autoSquash=false \
        rebase --merge -q --onto "$upstream" "$1" "$Branch" >"$state/git.err" 2>&1 || give_up_move
    end_move
}

# What is edited goes into a commit under a ref, then out of the work tree. From here until the
# move's end all of the work tree is in commits, so that it can be taken back from any state.
begin_move() {
    edits='' edits_ref='' refused=''
    stop_if_branch_is_elsewhere
    create_stash || { refresh_index && create_stash; } || finish conflict "$(why_not_saved)"
    if [ -n "$edits" ]; then
        in_the_way=$(find_replaced)
        [ -z "$in_the_way" ] ||
            finish conflict "$in_the_way is untracked, and the repository has something else there"
        name_saved_ref
        edits_ref=$ref
        git update-ref "$edits_ref" "$edits" || finish conflict "cannot save the local edits"
    fi
    # Older than all that the move will write into the work tree.
    true >"$state/since" && echo "$head_ref $head $to ${tip:--} ${edits:--} ${edits_ref:--} whole" >"$state/moving" ||
        finish conflict "cannot write $state/moving"
    [ -z "$edits" ] || reset_hard HEAD || give_up_move
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

create_stash() {
    edits=$(git stash create "pulley: edits on $Target" 2>"$state/git.err")
}

# Where a file was touched and not changed, git's stash fails without a word.
refresh_index() {
    git update-index -q --refresh >>"$log" 2>&1 || true
}

# A branch is in one work tree: another one's files would seem to be edited when it moves.
stop_if_branch_is_elsewhere() {
    [ -d "$common_dir/worktrees" ] && [ "$head_ref" != "$local_ref" ] && [ "$Update" != exact ] || return 0
    if git worktree list --porcelain | grep -qxF "branch $local_ref"; then
        finish conflict "another work tree of this repository has $Branch checked out"
    fi
}

why_not_saved() {
    unmerged=$(git diff --name-only --diff-filter=U | head -n 1)
    half_added=$(git diff --name-only --diff-filter=A | head -n 1)
    if [ -n "$unmerged" ]; then
        echo "someone is in the middle of a merge here: $unmerged is in conflict"
    elif [ -n "$half_added" ]; then
        echo "$half_added is only half added (git add -N): add it or reset it"
    else
        first_error
    fi
}

# The first untracked thing that stands where HEAD has a file: no commit can hold it.
find_replaced() {
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-index -z --no-renames --diff-filter=D --name-only HEAD | xargs -0 -r sh -c '
        for file; do
            path=. rest=$file/
            while [ -n "$rest" ]; do
                path=$path/${rest%%/*} rest=${rest#*/}
                [ -d "$path" ] && [ ! -L "$path" ] || break
            done
            [ -e "$path" ] || [ -L "$path" ] || continue
            git --literal-pathspecs -c core.fsmonitor=false ls-files -o -- "$path"
        done' sh 2>>"$log" | head -n 1
}

give_up_move() {
    why=$(first_error)
    # Then git has looked, and written nothing.
    case $why in *"would be overwritten"* | *"would lose untracked"*) refused=yes ;; esac
    cat "$state/git.err" >>"$log"
    in_conflict=$(git diff --name-only --diff-filter=U | head -n 1)
    take_back
    finish conflict "${in_conflict:+conflict in $in_conflict: }$why"
}

# --no-overwrite-ignore: an ignored file (a host's own settings) is no more to be lost than others.
checkout() {
    time_to_move
    within=$left git checkout -q --no-overwrite-ignore "$@" -- >"$state/git.err" 2>&1
}

put_back() { # commit ref
    if git stash apply -q --index "$1" >>"$log" 2>&1; then
        git update-ref -d "$2"
        return
    fi
    reset_hard HEAD
    if ! git stash apply -q "$1" >>"$log" 2>&1; then
        reset_hard HEAD
        saved=$2
    elif git diff --quiet "$1^2" "$1" || git diff --quiet "$1^1" "$1^2"; then
        git update-ref -d "$2"
    else
        saved=$2 # what was staged was neither of what is in the work tree and in the commit
    fi
}

# Index and work tree as in a commit. What someone told git to leave alone ("assume unchanged", often
# a host's own settings) stays as it is: such files are marked in the way that git minds here.
reset_hard() { # commit
    git ls-files -v -z | sed -z -n 's/^h //p' >"$state/assumed"
    [ ! -s "$state/assumed" ] || git update-index -z --skip-worktree --stdin <"$state/assumed"
    git reset -q --hard "$1" >>"$log" 2>&1
    status=$?
    [ ! -s "$state/assumed" ] || git update-index -z --no-skip-worktree --stdin <"$state/assumed" >>"$log" 2>&1
    return $status
}

# Everything back to where a move began. Done twice, or killed and done again, it ends the same.
take_back() {
    read -r was_ref was was_to was_tip was_edits was_edits_ref _ <"$state/moving" ||
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
    [ -n "${refused-}" ] || remove_added "$was" "$was_to" "$state/since"
    reset_hard "$was" ||
        finish broken "what was moved could not be taken back: $(tail -n 1 "$log")"
    if [ "$was_edits" != - ]; then
        remove_added "$was" "$was_edits" "$state/since"
        git stash apply -q --index "$was_edits" >>"$log" 2>&1 || git stash apply -q "$was_edits" >>"$log" 2>&1 ||
            finish broken "local edits could not be put back; they are under $was_edits_ref"
        git update-ref -d "$was_edits_ref"
    fi
    true >"$state/moving"
}

# Files that a killed checkout began to write: in `to`, not in `from`, and either not older than
# the reference or the same as in `to`. A file that was there before it, with other content, stays.
remove_added() { # from to reference
    # shellcheck disable=SC2016 # the inner shell expands
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" | xargs -0 -r sh -c '
        to=$1 reference=$2
        shift 2
        for file; do
            [ -f "./$file" ] || [ -L "./$file" ] || continue
            [ ! "$reference" -nt "./$file" ] ||
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
    within=$limit git -c http.lowSpeedLimit=1 -c http.lowSpeedTime=30 \
        -c fetch.writeCommitGraph=false fetch -q --no-tags --no-prune --no-recurse-submodules \
        --refmap= origin "+refs/heads/$Branch:$upstream_ref" >"$state/git.err" 2>&1 && return 0
    status=$?
    cat "$state/git.err" >>"$log"
    why=unreachable words=$(first_error)
    drop_half_fetched
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

# What a fetch that failed has left would keep a full disk full.
drop_half_fetched() {
    git_is_at_work || find "$common_dir/objects" -type f \
        \( -name 'tmp_obj_*' -o -name 'tmp_pack_*' -o -name 'tmp_idx_*' \) -exec rm -f -- {} + 2>>"$log"
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

look_at_refs() {
    if read_ref_files; then
        :
    elif refs=$(git rev-parse HEAD "$upstream_ref" "$local_ref" --symbolic-full-name HEAD 2>/dev/null); then
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

# The common case, without a process: on the branch, and each ref in a file of its own.
read_ref_files() {
    [ -f "$git_dir/HEAD" ] && [ -f "$common_dir/$local_ref" ] && [ -f "$common_dir/$upstream_ref" ] || return 1
    read -r head_ref <"$git_dir/HEAD"
    [ "$head_ref" = "ref: $local_ref" ] || return 1
    head_ref=$local_ref
    read -r tip <"$common_dir/$local_ref" && read -r upstream <"$common_dir/$upstream_ref" || return 1
    case $tip$upstream in *[!0-9a-f]*) return 1 ;; esac
    [ ${#tip} -eq 40 ] && [ ${#upstream} -eq 40 ] || return 1
    head=$tip
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

# Not while steps that began, of whatever commit, did not come to their end: then what is built and
# what runs may be of another commit than the marker's.
is_deployed_here() {
    [ "$Target" = "$marker_target" ] && [ "$steps" = "$marker_steps" ] && [ ! -s "$state/begun" ]
}

# What a step will need, and what would stop it, is looked for before anything moves.
check_tools() {
    [ -n "$marker_commit" ] || check_git_version # else it was looked at then
    if [ -n "$HealthCheck" ] && ! command -v curl >/dev/null && ! command -v wget >/dev/null; then
        finish no_checkout "the health check needs curl or wget on the host"
    fi
    uses_lfs=''
    files=$(git grep -l -G --no-color -e . "$upstream" -- ':(glob)**/.gitattributes' .gitmodules 2>>"$log")
    case $files in *.gitattributes*) check_lfs ;; esac
    case $files in *":.gitmodules"*) check_gitmodules ;; esac
}

check_lfs() {
    git grep -q -e 'filter=lfs' "$upstream" -- ':(glob)**/.gitattributes' 2>>"$log" || return 0
    uses_lfs=yes
    command -v git-lfs >/dev/null || finish no_checkout "the repository uses LFS, and git-lfs is not installed"
}

# Where git does not like what .gitmodules says, it dies of each command there, those of the way
# back too. So such a commit is not gone to.
check_gitmodules() {
    git config --blob "$upstream:.gitmodules" -z --list >"$state/new" 2>"$state/git.err" ||
        finish conflict "the commit's .gitmodules cannot be read: $(first_error)"
    [ "$(wc -c <"$state/new")" -le 1000000 ] || finish conflict "the commit's .gitmodules is too large"
    setting=$(tr '\t\n\000' '?\t\n' <"$state/new" | find_refused)
    [ -z "$setting" ] || finish conflict "git refuses what the commit's .gitmodules says: $setting"
}

# The first setting that git dies of (submodule-config.c). A line is the name, a tab, the value; or
# the name alone.
find_refused() {
    tab=$(printf '\t')
    while IFS= read -r line; do
        key=${line%%"$tab"*} value=${line#*"$tab"}
        case $key in
            submodule.*.update) case $value in checkout | rebase | merge | none) continue ;; esac ;;
            submodule.*.path | submodule.*.url | submodule.*.ignore) [ "$line" = "$key" ] || continue ;;
            submodule.*.shallow) ! is_boolean || continue ;;
            submodule.*.fetchrecursesubmodules | fetch.recursesubmodules)
                ! is_boolean && [ "$value" != on-demand ] || continue
                ;;
            submodule.fetchjobs) case $value in [0-9] | [0-9][0-9]) continue ;; esac ;;
            *) continue ;;
        esac
        echo "$key = $value"
        return
    done
}

is_boolean() {
    [ "$line" != "$key" ] || return 0
    case $value in
        '' | [0-9] | [Tt][Rr][Uu][Ee] | [Ff][Aa][Ll][Ss][Ee] | [Yy][Ee][Ss] | [Nn][Oo] | [Oo][Nn] | [Oo][Ff][Ff]) ;;
        *) return 1 ;;
    esac
}

# Since 2.26 `git rebase --merge` does all that a rebase needs, in one folder that can be mended.
check_git_version() {
    version=$(git version)
    version=${version#git version }
    case $version in
        [3-9].* | [1-9][0-9].* | 2.2[6-9] | 2.2[6-9].* | 2.[3-9][0-9] | 2.[3-9][0-9].* | 2.[1-9][0-9][0-9].*) ;;
        *) finish no_checkout "git $version is too old: 2.26 or newer is needed, whose rebase can be taken back" ;;
    esac
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
}

update_by_rebase() { # branch's commit
    base=$1 local_commits=0
    [ "$1" = "$upstream" ] || [ "$1" = "$marker_upstream" ] || find_base "$1"
    if [ "$local_commits" -eq 0 ]; then
        arrive "$upstream"
    elif [ -z "$base" ]; then
        finish conflict "$Branch and its upstream have no commit in common"
    elif is_ancestor "$base" "$upstream" && is_ancestor "$upstream" "$1"; then # nothing new upstream
        arrive "$1"
    else
        rebase "$base"
        after=$(git rev-parse HEAD)
        local_commits=$(git rev-list --count "$upstream..HEAD")
    fi
}

arrive() { # commit
    after=$1
    if [ "$head_ref" != "$local_ref" ] || [ "$head" != "$1" ]; then
        move carry "$1" -B "$Branch"
    fi
}

is_ancestor() {
    git merge-base --is-ancestor "$1" "$2" 2>>"$log"
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
        [ "$before" != "$after" ] || finish "${superseded:-unchanged}"
        finish "${superseded:-updated}"
    fi
    seconds_left
    kept_for_going_back=$((left / 3))
    [ -d "$state" ] || mkdir -m 700 "$state"
    echo "$after" >"$state/begun" || finish broken "cannot write below $state"
    if run_steps "$after" "$marker_commit" "$Cause"; then
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
    try_submodules && return 0
    drop_half_made_submodules
    try_submodules && return 0
    step_within env save_commit="$save_commit" a_level="$a_level" sh -c "$a_level"
    try_submodules
}

try_submodules() {
    step_within git submodule --quiet sync --recursive &&
        step_within git submodule --quiet foreach --recursive "$save_commit" &&
        step_within git submodule --quiet update --init --recursive
}

# In a submodule, a commit that is in no branch and no tag would be lost when it moves.
# shellcheck disable=SC2016 # git's own shell expands
save_commit='
    test -z "$(git rev-list -n 1 HEAD --not --branches --tags --remotes --glob=refs/pulley/saved)" ||
        git update-ref "refs/pulley/saved/$(git rev-parse HEAD)" HEAD'

# Where git refuses the .gitmodules of a submodule's own, it goes no further from there; so here each is
# brought to its commit before it is looked into.
# shellcheck disable=SC2016 # the inner shell expands
a_level='
    test ! -f .gitmodules || {
        git submodule --quiet sync &&
            git submodule --quiet foreach "$save_commit" &&
            git submodule --quiet update --init &&
            git submodule --quiet foreach "$a_level"
    }'

# One that was killed while it was cloned has no commit yet, and git would not begin again.
drop_half_made_submodules() {
    find . -name .git -type f | while read -r link; do
        read -r module <"$link"
        case $module in
            "gitdir: "*.git/modules/*)
                git -C "${link%/.git}" rev-parse -q --verify HEAD >>"$log" 2>&1 || rm -f -- "$link"
                ;;
        esac
    done
    [ -d "$common_dir/modules" ] || return 0
    find "$common_dir/modules" -name HEAD -type f | while read -r module; do
        git --git-dir="${module%/HEAD}" rev-parse -q --verify HEAD >>"$log" 2>&1 || rm -rf -- "${module%/HEAD}"
    done
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
    echo "== $step: $1 ${2-} ${3-}" >>"$log"
    begun=$now
    timeout --foreground -k 5 "$left" "$@" >>"$log" 2>&1 3>&- 4>&- 5<&- 9>&-
    status=$?
    [ $status -ne 0 ] || return 0
    read_clock
    if [ $((now - begun)) -ge $((left * 100)) ]; then
        words="it took longer than $left seconds"
    else
        words="exit code $status: $(tail -c 1000 "$log" | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c1-150)"
    fi
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

# Every tenth time: the calls above keep git from it, so that none is at work unseen.
tidy() {
    kept_for_going_back=0
    step=tidy
    step_within git -c gc.autoDetach=false gc --auto --quiet
    step=''
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
        head_ref=HEAD # detached by now: a kill here must not move the branch
        move carry "$marker_commit" --detach
    else
        head_ref=$local_ref tip=$after
        move carry "$marker_commit" -B "$Branch"
    fi
    after=$marker_commit
    local_commits=$(git rev-list --count "$marker_upstream..$after")
    if run_steps "$after" "$failed" rollback; then
        true >"$state/begun"
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
    [ -d "$state" ] || mkdir -m 700 "$state"
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
    free=$(free_space)
    lfs=no
    ! command -v git-lfs >/dev/null || lfs=yes
    check_git_version
    finish unchanged "$would; owner $name; $(git --version); $free MiB free; git-lfs: $lfs"
}

free_space() { # MiB
    df -Pm . | while read -r _ _ _ free _; do echo "$free"; done | tail -n 1
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

# A filter of git's, or a partial clone's remote, can hang as well: time is kept back for the way back.
time_to_move() {
    seconds_left
    left=$((left > 20 ? left * 2 / 3 : left))
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
            *) case $error in *:) error="$error ${line#	}" ;; esac ;;
        esac
    done <"$state/git.err"
    if [ -z "$error" ]; then
        error="git gave no reason"
        [ "$(free_space)" -gt 0 ] || error="the disk is full"
    fi
    echo "$error"
}

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

known_target='' before='' after='' upstream='' saved='' step='' local_commits=0 saved_refs=0
started=${PULLEY_STARTED-} asks=${PULLEY_ASKS-} inside=${1-}
unset PULLEY_STARTED PULLEY_ASKS
main
