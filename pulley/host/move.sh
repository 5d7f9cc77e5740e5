# shellcheck shell=sh
# A move of HEAD, branch, index and work tree to another commit.

# HEAD, branch, index and work tree go to a commit. Local edits come along (carry) or stay under a
# ref (save). It succeeds, or leaves all as it was and ends the run with `conflict`.
move() { # carry|save commit -B branch | --detach
    edits_go=$1 to=$2
    shift 2
    begin_move
    checkout "$@" "$to" || give_up_move
    bring_nobodys_back
    ! lists_a_difference || look_at_tree
    end_move
    after=$to
}

# Local commits since `base` are made again on top of upstream, with the branch at the last of them.
# A merge is not made again: what was done in it (a conflict's solution, say) stays under a ref.
rebase() { # base
    edits_go=carry to=$upstream
    in_the_way=$(list_untracked "$tip" --not "$1" -- 8>&1 | head -n 1)
    [ -z "$in_the_way" ] || stop_in_conflict "$in_the_way is untracked, where a local commit has it"
    begin_move
    if [ -n "$(git rev-list -n 1 --merges "$1..$tip" --)" ]; then
        keep "$tip" || give_up_move
        merges_ref=$ref
    fi
    checkout --detach "$upstream" && ! has_failed_to_write || give_up_move
    git config user.email >/dev/null || export GIT_COMMITTER_NAME=Pulley GIT_COMMITTER_EMAIL=pulley@localhost
    time_to_move
    GIT_EDITOR=: GIT_SEQUENCE_EDITOR=: within=$left git -c rebase.updateRefs=false -c rebase.autoSquash=false \
        rebase --merge -q --onto "$upstream" "$1" "$Branch" >"$errors" 2>&1 || give_up_move
    bring_nobodys_back
    look_at_tree
    end_move
}

# The files that commits change, that stand here and are not tracked. Tracked names are listed twice, so
# that none of them is unique.
list_untracked() { # revisions
    {
        name_commits "$@" | sort -u
        git ls-files -z | tr '\n\000' '\035\n' | sed p
    } | sort | uniq -u | each_line tell_untracked
}

# A folder in the place of a file that git does not track may hold files that it does. A file or a link
# in the place of one of its folders would go, too.
tell_untracked() {
    folder=$file
    [ -e "$file" ] || [ -L "$file" ] || is_beyond -f || is_beyond_link || return 0
    [ -n "$(git --literal-pathspecs ls-files -- "$folder")" ] || echo "${folder#./}"
}

# What is edited goes into a commit under a ref, then out of the work tree. From here until the
# move's end all of the work tree is in commits, so that it can be taken back from any state.
begin_move() {
    edits='' edits_ref='' refused='' why=''
    # A branch is in one work tree: another one's files would seem to be edited when it moves.
    if [ -d "$common_dir/worktrees" ] && [ "$head_ref" != "$local_ref" ] && [ "$Update" != exact ] &&
        git worktree list --porcelain | grep -qxF "branch $local_ref"; then
        stop_in_conflict "another work tree has $Branch checked out"
    fi
    stop_if_submodule_is_lost
    find_edits
    if [ -n "$edits" ]; then
        stop_if_replaced
        keep "$edits" || stop_in_conflict "cannot save the local edits: $(git_reason)"
        edits_ref=$ref
    fi
    # Older than all that the move will write into the work tree.
    true >"$state/since" && echo "$head_ref $head $to ${tip:--} ${edits:--} ${edits_ref:--} whole" >"$state/moving" ||
        stop_in_conflict "cannot write $state/moving"
    [ -z "$edits" ] || reset_hard HEAD || give_up_move
    # Git takes a file that it calls modified for an edit that is in the way. One that is nobody's edit is
    # away while the checkout moves, and written again by git.
    if [ -n "$edits" ] || [ -s "$state/nobodys" ]; then
        list_nobodys
        each rm -f <"$state/nobodys"
    fi
}

# Edits that are carried come back; where they do not fit any more, they stay saved.
end_move() {
    if [ "$edits_go" != carry ]; then
        saved=${edits_ref:-$saved}
    elif [ -n "$edits" ]; then
        put_back "$edits" "$edits_ref"
    fi
    saved=${merges_ref:-$saved} merges_ref=''
    true >"$state/moving"
}

give_up_move() {
    why=${why:-$(git_reason)}
    # Then git has looked, and written nothing.
    case $why in *"would be overwritten"* | *"would lose untracked"*) refused=yes ;; esac
    cat "$errors"
    in_conflict=$(first_that_is U)
    take_back
    case $refetched$why in
        yes*) ;;
        *"error: object file"* | *"is corrupt"* | *"unable to read"* | *"bad object"*)
            # An object that was fetched is only a copy.
            refetched=yes haves=noop
            drop_broken_copies
            rm -f -- "$common_dir/$upstream_ref"
            bring_here
            ;;
    esac
    stop_in_conflict "${in_conflict:+conflict in $in_conflict: }$why"
}

# Without a process, since each move asks.
lists_a_difference() {
    while read -r line; do
        case $line in [MDT]"$tab"*) return 0 ;; esac
    done <"$state/git.out"
    return 1
}

# Then a rebase would only say that there are edits, and not why.
has_failed_to_write() {
    lists_a_difference && grep -q '^error: ' "$errors"
}

# Git says that it has switched, and exits with 0, also where it could not write a file. So what it
# lists as different afterwards, or all that a rebase has written, is compared with the commit.
look_at_tree() {
    unlike=$(find_unlike)
    [ -n "$unlike" ] || return 0
    why="git could not write $unlike: $(git_reason)"
    give_up_move
}

# --no-overwrite-ignore: an ignored file (a host's own settings) is no more to be lost than others.
checkout() {
    time_to_move
    within=$left git -c advice.detachedHead=false -c diff.ignoreSubmodules=all \
        checkout --no-overwrite-ignore "$@" -- >"$state/git.out" 2>"$errors"
}
