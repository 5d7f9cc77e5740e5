# shellcheck shell=sh
# The first clone, if the target has `clone` and there is no checkout. It is made in place. The new git
# directory gets its name by one rename; before that there is no checkout. From then on HEAD is `no_commit`, the
# same empty commit in each new clone, and this run, or after a kill the next one, moves from there as usual.

no_commit=b95728f668010c14779451f9fcb0f21b64ef5317

# Leave an empty folder of the owner's, made if it is not there. Who may send commands chooses owner and folder.
# So the owner must not be a user who can become root; and root makes or gives away a folder only where it alone
# may write, and where no program of root's looks for settings or code.
make_place() {
    if [ "$euid" -ne 0 ]; then
        mkdir -p "$checkout_path"
    else
        words=" $(id -Gn "$owner_user") " || refuse "there is no user $owner_user"
        case $words in
            *' root '* | *' sudo '* | *' wheel '* | *' admin '*) refuse "$owner_user can become root: clone $checkout_path by hand" ;;
        esac
        (give_place) >/dev/null 2>&1 3>&1
    fi
    [ "$(stat -L -c %U "$checkout_path")" = "$owner_user" ] || refuse "make an empty folder: install -d -o $owner_user $checkout_path"
}

give_place() {
    owner_uid=0 place=$checkout_path
    until [ -e "$place/" ]; do place=${place%/*}; done
    walk_path "$place/"
    umask 22
    case $walked/ in
        /home/* | /mnt/* | /opt/* | /srv/* | /tmp/* | /var/www/*)
            mkdir -p "$checkout_path" && [ -z "$(ls -A "$checkout_path")" ] && chown "$owner_user:" "$checkout_path"
            ;;
    esac
}

# Make the git directory, as the owner. Of two runs at a time, the first one's stays.
begin_clone() {
    check_programs
    [ "$Clone" ] && [ -z "$(find . ! -path . ! -path './.git.pulley*' ! -path './shared*' | first_line)" ] || [ -e .git ] || refuse_folder
    origin_url=$Clone
    check_address
    words=$(make_git_dir 2>&1) || rm -rf .git.pulley$$
    [ -e .git ] || refuse "cannot clone: $words"
}

# Without git init, whose formats and templates depend on the host.
make_git_dir() {
    export GIT_DIR=.git.pulley$$
    mkdir -p $GIT_DIR/objects $GIT_DIR/refs && echo $no_commit >$GIT_DIR/HEAD &&
        printf '[remote "origin"]\n url=%s\n fetch=+refs/heads/*:refs/remotes/origin/*\n' "$Clone" >$GIT_DIR/config &&
        printf 'tree %s\nauthor P <> 0 +0000\ncommitter P <> 0 +0000\n\n' "$(git hash-object -w -t tree /dev/null)" |
        git hash-object -w -t commit --stdin && git read-tree --empty && mv -T $GIT_DIR .git
}
