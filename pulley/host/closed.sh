# shellcheck shell=sh
# When root may stay root: if only root may write to the checkout, rename it, and change its path.

# As sshd's StrictModes. Every folder and link on the path from / must be root's, and others must not
# be able to write to it. (In a sticky folder others cannot rename what is root's.) Then nobody else can
# change where the path leads, so enter the checkout by it again.
# The same rules hold for the git directory and all that is in it, because git and this script read and
# run what is there.
stay_root() {
    walk "$Checkout"
    cd -P -- "$walked" || refuse "cannot enter $Checkout"
    [ ! -L .git ] || refuse "$Checkout/.git is a link, which root does not follow: put the git directory there"
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

# Links on the way to a user's checkout must be root's or that user's. Behind anyone else's link, its maker
# would choose in which of that user's checkouts root deploys.
judge_links() {
    [ "$PWD" != "$Checkout" ] || return 0
    walk "$Checkout"
    [ "$PWD" = "$walked" ] || refuse "$Checkout leads elsewhere by now"
}

# Resolve a path without links, into `walked`. Each part is checked before it is followed. A link is
# followed by its text, so that a link in /proc cannot lead elsewhere.
walk() { # absolute path
    walked='' rest=$1/ links=0
    judge /
    while [ -n "$rest" ]; do
        name=${rest%%/*} rest=${rest#*/}
        case $name in
            '' | .) continue ;;
            ..)
                walked=${walked%/*}
                continue
                ;;
        esac
        place=$walked/$name
        case $place/ in /proc/*) refuse "$Checkout leads through /proc" ;; esac
        judge "$place"
        case $place_type in
            a???)
                links=$((links + 1))
                [ $links -le 40 ] || refuse "the link $place leads to links without end"
                target=$(readlink "$place")
                case $target in /*) walked='' ;; esac
                rest=$target/$rest
                ;;
            *) walked=$place ;;
        esac
    done
    judge "${walked:-/}"
    [ -z "$sticky" ] || open_to_others "others may write to $sticky" "chmod go-w $sticky"
}

# Check each path once, because a closed one stays closed. In a sticky folder such as /tmp others cannot
# move what is root's. So only the last folder of a path must not be sticky; `sticky` has it then.
judge() { # path
    sticky='' place_type=''
    case $judged in *"//$1//"*) return 0 ;; esac
    read -r place_uid place_mode place_type <<EOF || refuse "$1 is not there"
$(stat -c '%u %a %f' -- "$1")
EOF
    if [ "$uid" -ne 0 ]; then
        case $place_type/$place_uid in
            a???/0 | a???/"$uid") ;;
            a*) refuse "the link $1 belongs to the uid $place_uid, the checkout to $uid: chown -h root $1" ;;
        esac
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

# Leave in `found` the first path that is not root's, or that others may write to.
find_of_others() { # what find takes
    found=$(find "$@" \( ! -user 0 -o -perm -020 -o -perm -002 \) | head -n 1)
}

root_owns_all() { # git directory, or one of objects
    find_of_others "$1/"
    [ ! -L "$found" ] || refuse "$found is a link, which root does not follow: remove it, or clone again"
    refuse_found "$1"
    follow_alternates "$1/objects"
    follow_alternates "$1"
}

refuse_found() { # what to close
    [ -z "$found" ] || open_to_others "others own $found or may write to it" "chown -R root $1; chmod -R go-w $1"
}

# The owner of a folder in the repository can replace it by a link while git writes there. The owner of a
# folder in a submodule can change git's settings, which run commands. So root must own all folders.
root_owns_folders() { # commit
    [ "$euid" -eq 0 ] && [ -n "$1" ] || return 0
    has xargs || refuse 'xargs (findutils) is not installed' # without it nothing would be found
    found=$(list_folders "$1" 8>&1 | head -n 1)
    refuse_found "$found"
}

list_folders() { # commit; prints folders that others own or may write to
    {
        git ls-tree -rdz --name-only "$1"
        # The folders of staged files and of local commits.
        {
            git ls-files -z | tr '\n\000' '\035\n'
            name_commits HEAD "$(commit_of "$local_ref" || echo HEAD)" --not "$1" --
        } | LC_ALL=C sed -n -e :a -e 's|/[^/]*$||p' -e ta | sort -u | tr '\n\035' '\000\n'
    } | xargs -0 stat -c '%u %f %n' -- |
        sed -n '/^0 \(a\|..[02468ace][014589cd] \)/!s/^[^ ]* [^ ]* //p'
    git ls-tree -rdz "$1" | tr '\000' '\n' | sed -n "s/^16.*$tab//p" | each_line find_of_others_below
} 2>/dev/null

find_of_others_below() { # folder
    find_of_others "$1" \( -type d -o -name .git \)
    [ -z "$found" ] || echo "$found"
}

# Objects may be in another folder (git clone --shared), and git does not verify their hashes.
follow_alternates() { # folder of objects
    [ -f "$1/info/alternates" ] || return 0
    alternates=$((${alternates:-0} + 1))
    [ $alternates -le 20 ] || refuse "$1/info/alternates leads to alternates without end"
    while IFS= read -r line; do
        case $line in '' | '#'*) continue ;; esac
        walk_from "$1" "$line"
        root_owns_all "$walked"
    done <"$1/info/alternates"
}

open_to_others() { # what cure
    refuse "$1, so root does not run here: $2; or give the checkout to another user"
}

# Refuse a folder that is not in our mount namespace (behind /proc/PID/root): a user may mount anything
# there, and files may seem to have another owner. The same goes for FUSE, where a user's program
# answers. The kernel knows the mount of an open folder, even if the path leads elsewhere by now.
check_mount() { # folder
    find_mount /
    root_mount=$mount
    find_mount "$1"
    [ -n "$mount" ] || refuse "cannot read $Checkout, or its mount in /proc"
    [ "$mount" != "$root_mount" ] || return 0
    while read -r id _ _ _ _ fields; do
        [ "$id" = "$mount" ] || continue
        case $fields in
            *' - fuse'*user_id=*)
                mounter=${fields##*user_id=} mounter=${mounter%%,*}
                [ "$mounter" = 0 ] || [ "$mounter" = "$euid" ] ||
                    refuse "$Checkout is on a file system that the uid $mounter mounted (FUSE)"
                ;;
        esac
        return 0
    done </proc/self/mountinfo
    refuse "$Checkout leads to another mount namespace, through a link to /proc"
}

find_mount() { # folder
    mount=''
    {
        while read -r key mount; do
            [ "$key" != mnt_id: ] || break
        done </proc/self/fdinfo/8
    } 8<"$1"
}
