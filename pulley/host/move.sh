# shellcheck shell=sh
# Move HEAD, branch, index and work tree to another commit.

# Move HEAD, branch, index and work tree to a commit. Local edits are put back (carry) or stay under a ref
# (save). If it fails, everything is as before, and the run ends with `conflict`.
move_to() { # carry|save commit -B branch | --detach
    edits_go=$1 to=$2
    shift 2
    begin_move
    check_out "$@" "$to" || give_up_move
    bring_nobodys_back
    ! lists_a_difference || look_at_tree
    end_move
    commit_after=$to
}

# Rebase the local commits since `base` onto upstream, and move the branch to the last of them. Merges are
# not made again: what somebody did in them (such as solving a conflict) stays under a ref.
rebase() { # base
    edits_go=carry to=$upstream_commit
    in_the_way=$(list_untracked "$branch_tip" --not "$1" -- 8>&1 | first_line)
    [ -z "$in_the_way" ] || stop_in_conflict "$in_the_way is untracked, where a local commit has it"
    begin_move
    if [ "$(git rev-list -n 1 --merges "$1..$branch_tip" --)" ]; then
        keep_commit "$branch_tip" || give_up_move
        merges_ref=$this_ref
    fi
    check_out --detach "$upstream_commit" && ! has_failed_to_write || give_up_move
    git config user.email >/dev/null || export GIT_COMMITTER_NAME=Pulley GIT_COMMITTER_EMAIL=pulley@localhost
    time_to_move
    GIT_EDITOR=: GIT_SEQUENCE_EDITOR=: time_limit=$time_left git -c rebase.updateRefs=false -c rebase.autoSquash=false \
        rebase --merge -q --onto "$upstream_commit" "$1" "$branch_name" >"$errors" 2>&1 || give_up_move
    bring_nobodys_back
    look_at_tree
    end_move
}

# List the files that commits change and that exist here untracked. Tracked names are printed twice, so that
# `uniq -u` removes them.
list_untracked() { # revisions
    {
        name_commits "$@" | sort -u
        git ls-files -z | to_lines | sed p
    } | sort | uniq -u | each_line tell_untracked
}

# A folder in the place of an untracked file may have tracked files in it. A file or a link in the place of
# one of its folders would be lost, too.
tell_untracked() {
    folder_name=$file_name
    [ -e "$file_name" ] || [ -L "$file_name" ] || is_beyond -f || is_beyond_link || return 0
    [ "$(git --literal-pathspecs ls-files -- "$folder_name")" ] || echo "${folder_name#./}"
}

# Save edits in a commit under a ref, then remove them from the work tree. Until the end of the move all of
# the work tree is in commits, so that it can be taken back from any state.
begin_move() {
    edits_commit='' edits_ref='' refused='' move_reason=''
    # If another work tree has the branch, its files would seem to be edited after the branch moves.
    if [ -d "$common_dir/worktrees" ] && [ "$head_ref" != "$local_ref" ] && [ "$update_mode" != exact ] &&
        git worktree list --porcelain | grep -qxF "branch $local_ref"; then
        stop_in_conflict "another work tree has $branch_name checked out"
    fi
    stop_if_submodule_is_lost
    find_edits
    if [ "$edits_commit" ]; then
        stop_if_replaced
        keep_commit "$edits_commit" || stop_in_conflict "cannot save the local edits: $(git_reason)"
        edits_ref=$this_ref
    fi
    # `since` is older than every file that the move will write.
    true >"$state/since" && echo "$head_ref $head_commit $to ${branch_tip:--} ${edits_commit:--} ${edits_ref:--} $local_ref whole" >"$state/moving" ||
        stop_in_conflict "cannot write $state/moving"
    [ -z "$edits_commit" ] || reset_hard HEAD || give_up_move
    # git refuses to overwrite a file that it calls modified. If nobody edited it, remove it for the
    # checkout; git writes it again.
    if [ "$edits_commit" ] || [ -s "$state/nobodys" ]; then
        list_nobodys
        each_file rm -f <"$state/nobodys"
    fi
}

# Put carried edits back. If they do not fit any more, they stay saved.
end_move() {
    if [ "$edits_go" != carry ]; then
        saved_ref=${edits_ref:-$saved_ref}
    elif [ "$edits_commit" ]; then
        put_back "$edits_commit" "$edits_ref"
    fi
    saved_ref=${merges_ref:-$saved_ref} merges_ref=''
    true >"$state/moving"
}

give_up_move() {
    move_reason=${move_reason:-$(git_reason)}
    # In these cases git checked first and wrote nothing.
    case $move_reason in *'would be overwritten'* | *'would lose untracked'*) refused=yes ;; esac
    cat "$errors"
    in_conflict=$(first_that_is U)
    take_back
    case $refetched$move_reason in
        yes*) ;;
        *'error: object file'* | *'is corrupt'* | *'unable to read'* | *'bad object'*)
            # The broken object is only a copy: fetch it again.
            refetched=yes haves=noop
            drop_broken_copies
            rm -f "$common_dir/$upstream_ref"
            bring_here
            ;;
    esac
    stop_in_conflict "${in_conflict:+conflict in $in_conflict: }$move_reason"
}

# Use no process, because every move asks this.
lists_a_difference() {
    while read -r text_line; do
        case $text_line in [MDT]"$tab_char"*) return 0 ;; esac
    done <"$state/git.out"
    return 1
}

# Check this before a rebase, whose message would say only that there are edits, and not why.
has_failed_to_write() {
    lists_a_difference && grep -q '^error: ' "$errors"
}

# git exits with 0 even if it could not write a file. So compare with the commit what git lists as different
# after a checkout, or all that a rebase has written.
look_at_tree() {
    unlike=$(find_unlike)
    [ "$unlike" ] || return 0
    move_reason="git could not write $unlike: $(git_reason)"
    give_up_move
}

# --no-overwrite-ignore: ignored files (often a host's settings) must not be lost either.
check_out() {
    time_to_move
    time_limit=${can_hang:+$time_left} git -c advice.detachedHead=false -c diff.ignoreSubmodules=all \
        checkout --no-overwrite-ignore "$@" -- >"$state/git.out" 2>"$errors"
}
