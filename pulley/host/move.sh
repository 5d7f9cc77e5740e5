# shellcheck shell=sh
# A move of HEAD, branch, index and work tree to another commit.

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
        reason "$state/git.err"
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
    why=$(reason "$state/git.err")
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
