# shellcheck shell=sh
# The way to the checkout: each folder and link of it, and whether somebody else can change where it leads.

walk_from() { # folder path
    case $2 in
        /*) walk_path "$2" ;;
        *) walk_path "$1/$2" ;;
    esac
}

# A link on the way to a user's checkout must be root's or that user's, and nobody else may be able to
# replace it, or they would choose in which of that user's checkouts root deploys. The kernel knows the folder
# that was entered; a shell may only know what the path was when it looked.
judge_links() { # the kernel's name of the folder that was entered
    case $1 in *"-> '$checkout_path'" | *"-> $checkout_path") return 0 ;; esac
    path_of_others=''
    walk_path "$checkout_path"
    [ "$(readlink /proc/self/cwd)" = "$walked" ] || refuse "$checkout_path leads elsewhere by now"
}

# Resolve a path without links, into `walked`. Each part is checked before it is followed. A link is
# followed by its text, so that a link in /proc cannot lead elsewhere.
walk_path() { # absolute path
    walked='' rest=$1/ links=0
    judge /
    while [ "$rest" ]; do
        this_name=${rest%%/*} rest=${rest#*/}
        case $this_name in
            '' | .) continue ;;
            ..)
                walked=${walked%/*}
                continue
                ;;
        esac
        place=$walked/$this_name
        case $place/ in /proc/*) refuse "$checkout_path leads through /proc" ;; esac
        judge "$place"
        case $place_type in
            a???)
                links=$((links + 1))
                [ $links -le 40 ] || refuse "the link $place leads to links without end"
                link_target=$(readlink "$place")
                case $link_target in /*) walked='' ;; esac
                rest=$link_target/$rest
                ;;
            *) walked=$place ;;
        esac
    done
    judge "${walked:-/}"
    [ -z "$sticky" ] || open_to_others "others may write to $sticky" "chmod go-w $sticky"
}

# Check a path only once if nobody but root may change it: it stays so. In a sticky folder such as /tmp others
# cannot move what is root's. So such a folder may be on the way, but not at the end of a path. Leave in
# `sticky` the path if it is such a folder, else "".
judge() { # path
    sticky='' place_type=''
    case $judged in *"//$1//"*) return 0 ;; esac
    read -r place_uid place_mode place_type <<EOF || refuse "$1 is not there"
$(stat -c '%u %a %f' -- "$1")
EOF
    if [ "$owner_uid" -ne 0 ]; then # a user's checkout: only links count, and who can replace them
        case $place_type/$place_mode/$place_uid in
            a*/0 | a*/"$owner_uid") [ -z "$path_of_others" ] || refuse "others own $path_of_others or may write to it, so they may replace the link $1" ;;
            a*) refuse "the link $1 belongs to the uid $place_uid, the checkout to $owner_uid: chown -h root $1" ;;
            */[1357]???/0 | */[1357]???/"$owner_uid") ;;
            */*[2367]/* | */*[2367]?/*) path_of_others=$1 ;;
            */0 | */"$owner_uid") ;;
            *) path_of_others=$1 ;;
        esac
        case $place_type in 4???) check_mount "$1" ;; esac
        return
    fi
    [ "$place_uid" = 0 ] || open_to_others "$1 belongs to the uid $place_uid" "chown -h root $1"
    case $place_type in 4???) check_mount "$1" ;; esac
    case $place_type/$place_mode in
        a*) ;;
        */[1357]??[2367] | */[1357]?[2367]?) sticky=$1 ;;
        *[2367] | *[2367]?) open_to_others "others may write to $1" "chmod go-w $1" ;;
        *) judged=$judged//$1// ;;
    esac
}

open_to_others() { # what cure
    refuse "$1, so root does not run here: $2; or give the checkout to another user"
}

# Refuse a folder that is not in our mount namespace (behind /proc/PID/root): a user may mount anything
# there, and files may seem to have another owner. The same goes for FUSE, where a user's program
# answers. The kernel knows the mount of an open folder, even if the path leads elsewhere by now.
check_mount() { # folder
    find_mount /
    root_mount=$mount_id
    find_mount "$1"
    [ "$mount_id" ] || refuse "cannot read $checkout_path, or its mount in /proc"
    [ "$mount_id" != "$root_mount" ] || return 0
    while read -r id _ _ _ _ fields; do
        [ "$id" = "$mount_id" ] || continue
        case $fields in
            *' - fuse'*user_id=*)
                mounter=${fields##*user_id=} mounter=${mounter%%,*}
                [ "$mounter" = 0 ] || [ "$mounter" = "$euid" ] ||
                    refuse "$checkout_path is on a file system that the uid $mounter mounted (FUSE)"
                ;;
        esac
        return 0
    done </proc/self/mountinfo
    refuse "$checkout_path leads to another mount namespace, through a link to /proc"
}

find_mount() { # folder
    mount_id=''
    {
        while read -r key mount_id; do
            [ "$key" != mnt_id: ] || break
        done </proc/self/fdinfo/8
    } 8<"$1"
}
