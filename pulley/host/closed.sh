# shellcheck shell=sh
# Where root may stay root: in a checkout that root alone may write to, rename and reach.

# What sshd calls StrictModes. Every folder on the way from / must be root's and closed to others (in a
# sticky one they cannot rename what is root's), links on the way too; then nobody else can change where the path leads, and it is entered once more by it.
# The same holds for the git directory, and for all that is in it: git and this script read and run it.
stay_root() {
    walk "$Checkout"
    cd -P -- "$walked" || finish no_checkout "$Checkout is not to be entered"
    [ ! -L .git ] || finish no_checkout "$Checkout/.git is a link, and root follows none to a git directory: put the directory there"
    folder=$PWD
    walk "$folder/.git"
    if [ ! -d .git ]; then # a linked work tree, or a submodule
        IFS= read -r line <.git
        walk_from "$folder" "${line#gitdir: }"
    fi
    set -- "$walked"
    root_owns_all "$1"
    [ -f "$1/commondir" ] || return 0
    IFS= read -r line <"$1/commondir"
    walk_from "$1" "$line"
    root_owns_all "$walked"
}

walk_from() { # folder path
    case $2 in
        /*) walk "$2" ;;
        *) walk "$1/$2" ;;
    esac
}

# Leaves the path without a link in `walked`. Each step is judged before the next is looked at, and a
# link's text is walked like the rest: so one in /proc leads nowhere but to what it says.
walk() { # absolute path
    walked=$1 links=0
    while :; do
        set -- /
        whole='' rest=$walked/
        while [ -n "$rest" ]; do
            [ -z "${rest%%/*}" ] || {
                whole=$whole/${rest%%/*}
                set -- "$@" "$whole"
            }
            rest=${rest#*/}
        done
        walked=$whole
        case $whole/ in /proc/*) finish no_checkout "$Checkout leads through /proc: make it a path of this host" ;; esac
        walk_steps "$@"
        [ -n "$link" ] || return 0
        links=$((links + 1))
        [ $links -le 40 ] || finish no_checkout "$link is a link, and leads to links without an end"
        rest=${whole#"$link"} target=$(readlink "$link")
        case $target in
            /*) walked=$target$rest ;;
            *) walked=${link%/*}/$target$rest ;;
        esac
    done
}

# Up to the first link, which it leaves in `link`.
walk_steps() { # path ...
    link='' sticky=''
    for place; do
        read -r place_uid place_mode place_type || finish no_checkout "$place is not there"
        if [ "$place_uid" != 0 ]; then
            open_to_others "$place belongs to the uid $place_uid" "chown -h root $place"
        fi
        case $place_type in
            a???)
                link=$place
                return
                ;;
        esac
        sticky=''
        case $place_mode in
            [1357]??[2367] | [1357]?[2367]?) sticky=$place ;; # as /tmp: what is root's in it stays where it is
            *[2367] | *[2367]?) open_to_others "others may write to $place" "chmod go-w $place" ;;
        esac
        case $place_type in 4???) check_mount "$place" ;; esac
    done <<EOF
$(stat -c '%u %a %f' -- "$@" 2>/dev/null)
EOF
    [ -z "$sticky" ] || open_to_others "others may write to $sticky" "chmod go-w $sticky"
}

root_owns_all() { # git directory, or one of objects
    found=$(find "$1/" \( ! -user 0 -o -perm -020 -o -perm -002 \) 2>/dev/null | head -n 1)
    [ -z "$found" ] || [ ! -L "$found" ] ||
        finish no_checkout "$found is a link, and root follows none in a git directory: remove it, or clone again"
    [ -z "$found" ] ||
        open_to_others "others own $found or may write to it" "chown -R root $1; chmod -R go-w $1"
    follow_alternates "$1/objects"
    follow_alternates "$1"
}

# Objects may lie elsewhere (git clone --shared), and git does not look whether they are what they say.
follow_alternates() { # folder of objects
    [ -f "$1/info/alternates" ] || return 0
    alternates=$((${alternates:-0} + 1))
    [ $alternates -le 20 ] || finish no_checkout "$1/info/alternates leads to alternates without an end"
    while IFS= read -r line; do
        case $line in '' | '#'*) continue ;; esac
        walk_from "$1" "$line"
        root_owns_all "$walked"
    done <"$1/info/alternates"
}

open_to_others() { # what cure
    finish no_checkout "$1, so root does not run in a checkout of root's: $2; or give the checkout to a user of its own"
}

# A folder behind /proc/PID/root of another mount namespace is in no mount of ours: its user mounts there
# what he likes, files that look like someone else's too. So may a user whose program answers for a file
# system (FUSE). The kernel tells the mount of an open folder, even if the path leads elsewhere by now.
check_mount() { # folder
    find_mount /
    root_mount=$mount
    find_mount "$1"
    [ -n "$mount" ] || finish no_checkout "$Checkout is not to be read, or /proc does not tell its mount"
    [ "$mount" != "$root_mount" ] || return 0
    while read -r id _ _ _ _ rest; do
        [ "$id" = "$mount" ] || continue
        case $rest in
            *' - fuse'*user_id=*)
                rest=${rest##*user_id=}
                [ "${rest%%,*}" = 0 ] || [ "${rest%%,*}" = "$euid" ] ||
                    finish no_checkout "$Checkout is on a file system that the uid ${rest%%,*} mounted (FUSE): that user chooses what is in it"
                ;;
        esac
        return 0
    done </proc/self/mountinfo
    finish no_checkout "$Checkout leads to another mount namespace, through a link to /proc: make it a path of this host"
}

find_mount() { # folder
    mount=''
    {
        while read -r key mount; do
            [ "$key" != mnt_id: ] || break
        done </proc/self/fdinfo/8
    } 8<"$1"
}
