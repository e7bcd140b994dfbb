#!/bin/sh
# A stand-in for RHEL's alternatives (chkconfig >= 1.21). It keeps the same state
# files, says the same sentences and knows no action that the real one does not.
#
# A state file holds: the mode; the link; a title and a link for each follower;
# an empty line; then for each alternative its path, its priority (after @FAMILY@
# if it has one), and the path of each follower, empty where it has none.
altdir=/etc/alternatives
admindir=/var/lib/alternatives
action= family= verbose=

usage() {
    cat >&2 <<'EOF'
alternatives version 1.30 - Copyright (C) 2001 Red Hat, Inc.
This may be freely redistributed under the terms of the GNU Public License.

usage: alternatives --install <link> <name> <path> <priority>
                    [--initscript <service>]
                    [--family <family>]
                    [--follower <follower_link> <follower_name> <follower_path>]*
       alternatives --remove <name> <path>
       alternatives --auto <name>
       alternatives --config <name>
       alternatives --display <name>
       alternatives --set <name> <path/family>
       alternatives --list
       alternatives --remove-all <name>

common options: --verbose --test --help --usage --version --keep-missing --keep-foreign
                --altdir <directory> --admindir <directory>
EOF
    exit 2
}

fail() { echo "$*" >&2; exit 2; }

# read_state NAME: mode, link, followers (count), name_N, link_N; paths (count),
# path_I, priority_I, family_I, path_I_N; best, current (numbers, or 0).
read_state() {
    [ -e "$admindir/$1" ] || return 1
    followers=0 paths=0
    exec 3<"$admindir/$1"
    IFS= read -r mode <&3; IFS= read -r link <&3
    while IFS= read -r line <&3 && [ -n "$line" ]; do
        followers=$((followers + 1))
        eval "name_$followers=\$line"
        IFS= read -r line <&3; eval "link_$followers=\$line"
    done
    while IFS= read -r line <&3 && [ -n "$line" ]; do
        paths=$((paths + 1))
        eval "path_$paths=\$line"
        IFS= read -r line <&3
        eval "family_$paths="
        case $line in
        @*) line=${line#@}; eval "family_$paths=\${line%%@*}"; line=${line#*@} ;;
        esac
        eval "priority_$paths=\$line"
        n=0
        while [ $n -lt $followers ]; do
            n=$((n + 1)); IFS= read -r line <&3; eval "path_${paths}_$n=\$line"
        done
    done
    exec 3<&-
    weigh "$1"
}

# Which alternative is the best, which one the link points to; a link that points
# elsewhere makes the group a manual one.
weigh() {
    target=$(readlink "$altdir/$1") || target=
    best=0 current=0 top= i=0
    while [ $i -lt $paths ]; do
        i=$((i + 1)); eval "priority=\$priority_$i path=\$path_$i"
        if [ $best = 0 ] || [ "$priority" -gt "$top" ]; then best=$i top=$priority; fi
        if [ "$path" = "$target" ]; then current=$i; fi
    done
    if [ "$mode" = auto ] && [ "$current" != "$best" ]; then mode=manual; fi
}

write_state() {
    mkdir -p "$admindir" "$altdir"
    {
        printf '%s\n%s\n' "$mode" "$link"
        n=0
        while [ $n -lt $followers ]; do
            n=$((n + 1)); eval "printf '%s\n%s\n' \"\$name_$n\" \"\$link_$n\""
        done
        echo
        i=0
        while [ $i -lt $paths ]; do
            i=$((i + 1)); eval "f=\$family_$i; printf '%s\n' \"\$path_$i\""
            if [ -n "$f" ]; then printf '@%s@' "$f"; fi
            eval "printf '%s\n' \"\$priority_$i\""
            n=0
            while [ $n -lt $followers ]; do
                n=$((n + 1)); eval "printf '%s\n' \"\$path_${i}_$n\""
            done
        done
    } >"$admindir/$1.new"
    mv "$admindir/$1.new" "$admindir/$1"
}

# point NAME LINK TARGET: the two links of one name; none without a target.
point() {
    if [ -z "$3" ]; then
        rm -f "$altdir/$1"
        if [ -L "$2" ]; then rm -f "$2"; fi
        return
    fi
    ln -sfn "$3" "$altdir/$1"
    if [ -e "$2" ] && [ ! -L "$2" ]; then
        echo "failed to link $2 -> $altdir/$1: $2 exists and it is not a symlink" >&2
    else
        ln -sfn "$altdir/$1" "$2"
    fi
}

# link_to NAME NUMBER
link_to() {
    mkdir -p "$altdir"
    eval "point \"\$1\" \"\$link\" \"\$path_$2\""
    n=0
    while [ $n -lt $followers ]; do
        n=$((n + 1)); eval "point \"\$name_$n\" \"\$link_$n\" \"\$path_${2}_$n\""
    done
}

need_state() {
    read_state "$1" || fail "cannot access $admindir/$1: No such file or directory"
}

# find_path PATH: number of the alternative, by its path or, for --set, its family.
find_path() {
    found=0 i=0
    while [ $i -lt $paths ]; do
        i=$((i + 1)); eval "path=\$path_$i f=\$family_$i"
        if [ "$path" = "$1" ]; then found=$i; return; fi
        if [ "${2:-}" = family ] && [ "$f" = "$1" ]; then
            eval "new=\$priority_$i"
            if [ $found = 0 ] || [ "$new" -gt "$most" ]; then found=$i most=$new; fi
        fi
    done
}

# add_follower PATH-NUMBER LINK NAME PATH
add_follower() {
    n=0
    while [ $n -lt $followers ]; do
        n=$((n + 1)); eval "known=\$name_$n"
        if [ "$known" = "$3" ]; then eval "link_$n=\$2 path_${1}_$n=\$4"; return; fi
    done
    followers=$((followers + 1))
    eval "name_$followers=\$3 link_$followers=\$2"
    i=0
    while [ $i -lt $paths ]; do i=$((i + 1)); eval "path_${i}_$followers="; done
    eval "path_${1}_$followers=\$4"
}

install_path() { # LINK NAME PATH PRIORITY [LINK NAME PATH]…
    new_link=$1 title=$2 new_path=$3 new_priority=$4; shift 4
    case $new_priority in ''|*[!0-9-]*) usage ;; esac
    if read_state "$title"; then
        [ "$link" = "$new_link" ] || fail "the primary link for $title must be $link"
    else
        mode=auto link=$new_link followers=0 paths=0 current=0 best=0
    fi
    find_path "$new_path"
    if [ $found = 0 ]; then paths=$((paths + 1)); found=$paths; fi
    eval "path_$found=\$new_path priority_$found=\$new_priority family_$found=\$family"
    # What was known of its followers is forgotten, also when it is there already.
    n=0
    while [ $n -lt $followers ]; do n=$((n + 1)); eval "path_${found}_$n="; done
    while [ $# -ge 3 ]; do add_follower $found "$1" "$2" "$3"; shift 3; done
    registered=$found
    was=$mode
    weigh "$title"
    if [ "$was" = auto ] && [ $current != $best ] && { [ $current = 0 ] || [ $best = $registered ]; }; then
        mode=auto current=$best
    fi
    if [ $current = 0 ]; then current=$best; fi
    write_state "$title"
    link_to "$title" $current
}

set_path() {
    need_state "$1"
    find_path "$2" family
    [ $found != 0 ] || fail "$2 has not been configured as an alternative for $1"
    mode=manual
    write_state "$1"
    link_to "$1" $found
}

auto() {
    need_state "$1"
    mode=auto
    write_state "$1"
    link_to "$1" $best
}

display() {
    read_state "$1" || exit 2
    echo "$1 - status is $mode."
    echo " link currently points to ${target:-(null)}"
    i=0
    while [ $i -lt $paths ]; do
        i=$((i + 1)); eval "path=\$path_$i f=\$family_$i priority=\$priority_$i"
        echo "$path - ${f:+family $f }priority $priority"
        n=0
        while [ $n -lt $followers ]; do
            n=$((n + 1)); eval "known=\$name_$n path=\$path_${i}_$n"
            echo " follower $known: ${path:-(null)}"
        done
    done
    eval "path=\$path_$best"
    echo "Current \`best' version is $path."
}

remove_group() {
    n=0
    while [ $n -lt $followers ]; do
        n=$((n + 1)); eval "point \"\$name_$n\" \"\$link_$n\" ''"
    done
    point "$1" "$link" ''
    rm -f "$admindir/$1"
}

remove_path() {
    need_state "$1"
    find_path "$2"
    [ $found != 0 ] || fail "$2 has not been configured as an alternative for $1"
    if [ $paths = 1 ]; then remove_group "$1"; return; fi
    i=$found
    while [ $i -lt $paths ]; do
        next=$((i + 1))
        eval "path_$i=\$path_$next priority_$i=\$priority_$next family_$i=\$family_$next"
        n=0
        while [ $n -lt $followers ]; do
            n=$((n + 1)); eval "path_${i}_$n=\$path_${next}_$n"
        done
        i=$next
    done
    paths=$((paths - 1))
    gone=$current was=$mode
    weigh "$1"
    # The one in use went away: back to automatic, on the best that is left.
    if [ $gone = $found ] || [ $current = 0 ]; then mode=auto; current=$best; fi
    write_state "$1"
    link_to "$1" $current
}

list() {
    for file in "$admindir"/*; do
        [ -e "$file" ] || continue
        read_state "${file##*/}" && printf '%-20s\t%s\t%s\n' "${file##*/}" "$mode" "$target"
    done
}

wants() { # wants COUNT, of the arguments that follow an action
    [ "$1" -le "$2" ] || usage
}

[ $# -gt 0 ] || usage
command= follow=0
while [ $# -gt 0 ]; do
    word=$1; shift
    case $word in
    --altdir) wants 1 $#; altdir=$1; shift ;;
    --admindir) wants 1 $#; admindir=$1; shift ;;
    --verbose|--test|--keep-missing|--keep-foreign) verbose=1 ;;
    --family) wants 1 $#; family=$1; shift ;;
    --initscript) wants 1 $#; shift ;;
    --slave|--follower)
        wants 3 $#; [ "$command" = install ] || usage
        follow=$((follow + 1)); eval "f_$follow=\$1 g_$follow=\$2 h_$follow=\$3"; shift 3 ;;
    --install)
        wants 4 $#; [ -z "$command" ] || usage
        command=install a1=$1 a2=$2 a3=$3 a4=$4; shift 4 ;;
    --set|--remove)
        wants 2 $#; [ -z "$command" ] || usage
        command=${word#--} a1=$1 a2=$2; shift 2 ;;
    --auto|--display|--remove-all|--config)
        wants 1 $#; [ -z "$command" ] || usage
        command=${word#--} a1=$1; shift ;;
    --list) [ -z "$command" ] || usage; command=list ;;
    --version) echo 'alternatives version 1.30'; exit 0 ;;
    *) usage ;;
    esac
done
case $command in
install)
    set -- "$a1" "$a2" "$a3" "$a4"
    n=0
    while [ $n -lt $follow ]; do n=$((n + 1)); eval "set -- \"\$@\" \"\$f_$n\" \"\$g_$n\" \"\$h_$n\""; done
    install_path "$@" ;;
set) set_path "$a1" "$a2" ;;
remove) remove_path "$a1" "$a2" ;;
auto) auto "$a1" ;;
display) display "$a1" ;;
remove-all) need_state "$a1"; remove_group "$a1" ;;
list) list ;;
*) usage ;;
esac
exit 0
