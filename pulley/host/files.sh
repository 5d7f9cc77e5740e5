# shellcheck shell=sh
# Files of the work tree, by the names that git lists.

# Runs a command with each name on stdin that ends in a NUL, as a path that begins with ./ ; functions
# have it in `file`. On the way \035 stands for a line break in a name.
each() { # command
    tr '\n\000' '\035\n' | each_line "$@"
}

each_line() {
    while IFS= read -r file; do
        case $file in *"$(printf '\035')"*) file=$(printf '%s/' "$file" | tr '\035' '\n') file=${file%/} ;; esac
        file=./$file
        "$@" "$file" </dev/null
    done
}

# The names of all files that commits change, in lines: a line break in a name is \035. Whoever asks
# hears on 8 that there are more: not to know them is no reason to go on as if there were none.
name_commits() { # revisions
    {
        git log -m --first-parent --no-renames --format= --name-only -z "$@" || echo "a file that git cannot list" >&8
    } | tr '\n\000' '\035\n'
}

# The name again, where that is true of the file.
name_if() { # function
    ! "$1" || printf '%s\0' "$file"
}

is_no_folder() {
    [ ! -d "$file" ] || [ -L "$file" ]
}

# Whether a link (-L) or a file (-f) stands in the place of one of the folders that the file is in.
is_beyond() { # test
    folder=$file
    while [ "$folder" != "${folder%/*}" ]; do
        folder=${folder%/*}
        ! test "$1" "$folder" || return 0
    done
    return 1
}

is_beyond_link() {
    is_beyond -L
}

# Whether it differs from what git would write for the index's entry, its mode included.
differs() {
    [ -z "$(git diff-files --summary -- ":(literal)$file")" ] || return 0
    if [ -L "$file" ]; then
        [ "$(readlink "$file")" != "$(git cat-file -p ":$file")" ]
    else
        [ ! -f "$file" ] || ! git cat-file --filters ":$file" | cmp -s - "$file"
    fi
}

is_as_written() {
    ! differs
}

# The first file that is not as git would write it; "" where all are.
find_unlike() {
    git diff-files -z --name-only --ignore-submodules=all | each tell_unlike | head -n 1
}

tell_unlike() {
    is_beyond_link || ! differs || echo "${file#./}"
}

# Files that git began to write, or a step made, where `to` has them and `from` has not. What is just
# as in `to` goes. So does what is not older than the reference, into the folder if one is given.
# A file that was there before it, with other content, stays, and so does one beyond a link.
remove_added() { # from to reference [folder]
    git diff-tree -r -z --no-renames --diff-filter=A --name-only "$1" "$2" -- | each remove_file "$2" "$3" "${4-}"
}

remove_file() { # to reference folder
    { [ -f "$file" ] || [ -L "$file" ]; } && ! is_beyond_link || return 0
    if { [ -z "$3" ] && [ ! "$2" -nt "$file" ]; } ||
        [ "$(git hash-object -- "$file")" = "$(commit_of "$1:$file")" ]; then
        rm -f -- "$file"
    elif [ ! "$2" -nt "$file" ]; then
        mkdir -p -- "$3/${file%/*}" && mv -f -- "$file" "$3/$file"
    fi
}
