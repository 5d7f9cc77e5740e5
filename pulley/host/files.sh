# shellcheck shell=sh
# Files of the work tree, by the names that git lists.

# Run a command for each name on stdin, where each name ends in NUL. The command gets the path as an
# argument that begins with ./ and functions find it in `file_name`.
each_file() { # command
    to_lines | each_line "$@"
}

# Names with NUL at the end become lines; \035 stands for a line break in a name.
to_lines() {
    tr '\n\000' '\035\n'
}

each_line() {
    while IFS= read -r file_name; do
        case $file_name in
            *"$(printf '\035')"*)
                file_name=$(printf '%s/' "$file_name" | tr '\035' '\n')
                file_name=${file_name%/}
                ;;
        esac
        file_name=./$file_name
        "$@" "$file_name" </dev/null
    done
}

first_line() {
    head -n 1
}

# Print the names of all files that commits change, one a line; \035 stands for a line break in a name. If
# git fails, print an invented name to descriptor 8. The caller takes it for a file that is in the way, and so
# does not go on as if there were no more files.
name_commits() { # revisions
    {
        git log -m --first-parent --no-renames --format= --name-only -z "$@" || echo 'a file that git cannot list' >&8
    } | to_lines
}

# Print the file's name, with NUL at the end, if the function returns true.
name_if() { # function
    ! "$1" || printf '%s\0' "$file_name"
}

is_no_folder() {
    [ ! -d "$file_name" ] || [ -L "$file_name" ]
}

# Whether one of the file's folders was replaced by a link (-L) or a file (-f).
is_beyond() { # test
    folder_name=$file_name
    while [ "$folder_name" != "${folder_name%/*}" ]; do
        folder_name=${folder_name%/*}
        ! test "$1" "$folder_name" || return 0
    done
    return 1
}

is_beyond_link() {
    is_beyond -L
}

# Whether the file, or its mode, differs from what git would write for the index's entry.
differs() {
    [ -z "$(git diff-files --summary -- ":(literal)$file_name")" ] || return 0
    if [ -L "$file_name" ]; then
        [ "$(readlink "$file_name")" != "$(git cat-file -p ":$file_name")" ]
    else
        [ ! -f "$file_name" ] || ! git cat-file --filters ":$file_name" | cmp -s - "$file_name"
    fi
}

is_as_written() {
    ! differs
}

# Print the first file that is not as git would write it, if there is one.
find_unlike() {
    list_differing | each_file tell_unlike | first_line
}

# List the files that differ from the index, each with NUL at the end.
list_differing() { # git's options
    git diff-files -z --name-only --ignore-submodules=all "$@"
}

tell_unlike() {
    is_beyond_link || ! differs || echo "${file_name#./}"
}

# Take away the files that commit `to` has and commit `from` has not: git began to write them, or a step
# made them. A file with the content of `to` is removed. A file with other content that is not older than
# the file `reference` is moved to `one_folder`; without `one_folder` it is removed, too. An older file with other
# content stays. A file whose path leads through a link stays, too.
remove_added() { # from to reference [folder]
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" -- | each_file remove_file "$2" "$3" "${4-}"
}

remove_file() { # to reference folder
    { [ -f "$file_name" ] || [ -L "$file_name" ]; } && ! is_beyond_link || return 0
    if { [ -z "$3" ] && [ ! "$2" -nt "$file_name" ]; } ||
        [ "$(git hash-object "$file_name")" = "$(commit_of "$1:$file_name")" ]; then
        rm -f "$file_name"
    elif [ ! "$2" -nt "$file_name" ]; then
        mkdir -p "$3/${file_name%/*}" && mv -f "$file_name" "$3/$file_name"
    fi
}
