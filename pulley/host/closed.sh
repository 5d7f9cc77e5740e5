# shellcheck shell=sh
# When root may stay root: if only root may write to the checkout, rename it, and change its path.

# The rules are those of sshd's StrictModes. Every folder and link on the path from / must be root's, and
# others must not be able to write to it. (In a sticky folder others cannot rename root's files.) Then
# nobody else can change where the path leads, so the checkout is entered again by this path.
# The same rules hold for the git directory and all files in it, because git and this script read these
# files and run some of them.
stay_root() {
    walk_path "$checkout_path"
    cd -P -- "$walked" || refuse "cannot enter $checkout_path"
    [ ! -L .git ] || refuse "$checkout_path/.git is a link, which root does not follow: put the git directory there"
    folder_name=$PWD
    walk_path "$folder_name/.git"
    if [ ! -d .git ]; then # a linked work tree, or a submodule
        IFS= read -r text_line <.git
        walk_from "$folder_name" "${text_line#gitdir: }"
    fi
    set -- "$walked"
    root_owns_all "$1"
    [ -f "$1/commondir" ] || return 0
    IFS= read -r text_line <"$1/commondir"
    walk_from "$1" "$text_line"
    root_owns_all "$walked"
}

# A step may have let others write to root's checkout. Then root runs no git in it, and writes nothing there,
# not even a log.
stop_if_opened() {
    [ "$euid" -eq 0 ] || return 0
    judged='' refused_as=broken opened=yes
    stay_root
    set -- "$this_release"
    this_release=''
    [ -z "$1" ] || go_to "$1"
    root_owns_folders HEAD
    refused_as='' opened=''
}

# Leave in `finding` the first path that is not root's, or that others may write to.
find_of_others() { # what find takes
    finding=$(find "$@" \( ! -user 0 -o -perm -020 -o -perm -002 \) | first_line)
}

root_owns_all() { # git directory, or one of objects
    find_of_others "$1/"
    [ ! -L "$finding" ] || refuse "$finding is a link, which root does not follow: remove it, or clone again"
    refuse_found "$1"
    follow_alternates "$1/objects"
    follow_alternates "$1"
}

refuse_found() { # what to close
    [ -z "$finding" ] || open_to_others "others own $finding or may write to it" "chown -R root $1; chmod -R go-w $1"
}

# The owner of a folder in the repository can replace it by a link while git writes there. The owner of a
# folder in a submodule can change git's settings, which run commands. So root must own all folders.
root_owns_folders() { # commit
    [ "$euid" -eq 0 ] && [ "$1" ] || return 0
    has_program xargs || refuse 'xargs (findutils) is not installed' # without it nothing would be found
    finding=$(list_folders "$1" 8>&1 | first_line)
    refuse_found "$finding"
}

list_folders() { # commit; prints folders that others own or may write to
    {
        git ls-tree -rdz --name-only "$1"
        # The folders of staged files and of local commits.
        {
            git ls-files -z | to_lines
            name_commits HEAD "$(commit_of "$local_ref" || echo HEAD)" --not "$1" --
        } | LC_ALL=C sed -n -e :a -e 's|/[^/]*$||p' -e ta | sort -u | tr '\n\035' '\000\n'
    } | xargs -0 stat -c '%u %f %n' -- |
        sed -n '/^0 \(a\|..[02468ace][014589cd] \)/!s/^[^ ]* [^ ]* //p'
    git ls-tree -rdz "$1" | tr '\000' '\n' | sed -n "s/^16.*$tab_char//p" | each_line find_of_others_below
} 2>/dev/null

find_of_others_below() { # folder
    find_of_others "$1" \( -type d -o -name .git \)
    [ -z "$finding" ] || echo "$finding"
}

# Objects may be in another folder (git clone --shared), and git does not verify their hashes.
follow_alternates() { # folder of objects
    [ -f "$1/info/alternates" ] || return 0
    alternates_seen=$((${alternates_seen:-0} + 1))
    [ $alternates_seen -le 20 ] || refuse "$1/info/alternates leads to alternates without end"
    while IFS= read -r text_line; do
        case $text_line in '' | '#'*) continue ;; esac
        walk_from "$1" "$text_line"
        root_owns_all "$walked"
    done <"$1/info/alternates"
}
