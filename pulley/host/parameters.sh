# shellcheck shell=sh
# Read the document's parameters, and check them again.

# The agent sets SSM_<Name>. Agents older than 3.3.2746.0 write the values into this text instead.
read_parameters() {
    for given in 'Target={{ Target }}' 'Repository={{ Repository }}' 'Checkout={{ Checkout }}' \
        'Branch={{ Branch }}' 'Commit={{ Commit }}' 'Update={{ Update }}' 'AfterPull={{ AfterPull }}' \
        'Restart={{ Restart }}' 'HealthCheck={{ HealthCheck }}' 'Timeout={{ Timeout }}' 'Issued={{ Issued }}' \
        'Cause={{ Cause }}' 'Paths={{ Paths }}' 'Clone={{ Clone }}' 'Owner={{ Owner }}' 'Drain={{ Drain }}' \
        'BeforeRestart={{ BeforeRestart }}' 'AfterHealthy={{ AfterHealthy }}'; do
        name=${given%%=*} value=${given#*=}
        eval "$name=\${SSM_$name-\$value}"
        # In a run by hand a missing value still has its braces. No valid value begins with one.
        eval "case \$$name in '{'*) $name= ;; esac"
    done
    Update=${Update:-rebase} Timeout=${Timeout:-600} Cause=${Cause:-manual}
}

# shellcheck disable=SC2154 # eval has assigned them
check_parameters() {
    an=A-Za-z0-9
    check_value Target a-z0-9 a-z0-9- 50
    known_target=$Target # not in the result before it is checked
    check_value Repository $an "${an}._/-" 170
    check_value Checkout / "${an}./@+=,_-" 600
    check_value Branch "${an}_" "${an}./@+=,#%_-" 200
    check_value Timeout 1-9 0-9 6
    check_value Commit 0-9a-f 0-9a-f 40 optional
    check_value Issued 0-9 0-9 15 optional
    for name in AfterPull BeforeRestart AfterHealthy; do
        check_value $name "${an}._" "${an}._/+-" 201 optional
        case /$value/ in */../* | */.git/*) refuse_value "$name must be in the repository" ;; esac
    done
    check_value Drain a "${an}:/,-" 519 optional
    check_value Restart "${an}_" "${an}.:@,_-" 401 optional
    check_value HealthCheck h "${an}.:/?&=%~+,;@#*!()_-" 408 optional
    check_value Paths "${an}_.*?/@+=:" "${an}_.*?/@+=:,!-" 401 optional
    check_value Clone $an "${an}.:/@_-" 180 optional
    [ -z "$Clone" ] || check_value Owner A-Za-z_ "${an}._-" 32
    case ${Repository#*/} in
        "$Repository" | */* | '' | . | ..) refuse_value 'Repository must be owner/name' ;;
    esac
    checkout_path=$Checkout # the built script has a short name for it
    case $Checkout/ in */../*) refuse_value 'Checkout must not have .. in it' ;; esac
    case /$Branch/ in
        *..* | *//* | */.* | *./* | *.lock/* | /HEAD/ | /refs/*) refuse_value "Branch is no branch's name" ;;
    esac
    follows=branch
    case $Update/$Commit in
        exact/ | tag/ | *-to/ | drop/) refuse_value "$Update needs a Commit" ;;
        exact/* | rebase-to/* | reset-to/*) goes_to_commit=yes Update=${Update%-to} ;;
        tag/* | tag-to/*) goes_to_commit=$Update follows=tag Update=exact ;;
        check-tag/*) goes_to_commit=yes follows=tag Update=check Clone='' ;;
        check/* | saved/* | drop/*) Clone='' ;; # these make nothing
        rebase/* | reset/*) ;;
        *) refuse_value 'Update must be rebase, reset, rebase-to, reset-to, exact, tag, tag-to, check, check-tag, saved or drop' ;;
    esac
    case $Cause in
        push | reconcile | rollback | manual) ;;
        *) refuse_value 'Cause must be push, reconcile, rollback or manual' ;;
    esac
    [ "$Timeout" -ge 20 ] || refuse_value 'Timeout must be 20 seconds or more'
    case ${#Commit} in 0 | 40) ;; *) refuse_value 'Commit must have 40 digits' ;; esac
    case $HealthCheck in
        '' | http://?* | https://?*) ;;
        *) refuse_value 'HealthCheck must be an http:// or https:// URL' ;;
    esac
    [ -z "$Restart" ] || check_units
    case ,$Paths, in
        ,,) ;;
        *,,* | *[!,]:* | *:[!!]* | *[!:]!* | *!,* | *[,!]-* | *,*,*,*,*,*,*,*,*,*,*,*,*)
            refuse_value 'Paths must be at most 10 pathspecs separated by commas'
            ;;
    esac
}

# Refuse a value that is empty or too long, or whose first or other characters are not allowed.
check_value() { # name first rest longest [optional]
    eval "value=\$$1"
    case $value in
        '') [ $# -eq 5 ] || refuse_value "$1 is missing" ;;
        [!$2]* | ?*[!$3]*) refuse_value "$1 has a character that is not allowed" ;;
    esac
    [ ${#value} -le "$4" ] || refuse_value "$1 has more than $4 characters"
}

# Allow only types of units that run a site's programs. Starting a .target stops or changes other units.
check_units() {
    units_left=$Restart,
    while [ "$units_left" ]; do
        unit=${units_left%%,*} units_left=${units_left#*,}
        file_name=$unit
        case $unit in
            '' | [!A-Za-z0-9_]*) refuse_value 'Restart must be units separated by commas' ;;
            *.service | *.socket | *.timer | *.path) ;;
            *.*) refuse_value "Restart takes .service, .socket, .timer and .path, not $unit" ;;
            *) file_name=$unit.service ;;
        esac
        refuse_unit_of_machine "$file_name"
        # On this host the name may be an alias of such a unit, or of its template.
        for folder in /etc /run /usr/local/lib /usr/lib /lib; do
            for link in "$folder/systemd/system/$file_name" \
                "$folder/systemd/system/${file_name%%@*}@.${file_name##*.}"; do
                [ ! -L "$link" ] || refuse_unit_of_machine "$(readlink -f "$link")"
            done
        done
    done
}

# Refuse units that stop the machine, stop all other units, or open a root shell on the console.
# Instances of templates count, too. chalicelib/core/units.py has the same names.
refuse_unit_of_machine() { # unit
    name=${1##*/} name=${name%.*}
    case ${name%%@*} in
        systemd-poweroff | systemd-reboot | systemd-halt | systemd-kexec | systemd-soft-reboot | systemd-exit | \
            systemd-suspend | systemd-hibernate | systemd-hybrid-sleep | systemd-suspend-then-hibernate | \
            systemd-hibernate-resume | systemd-sysupdate-reboot | systemd-factory-reset* | \
            poweroff | reboot | halt | kexec | shutdown | single | rescue | rescue-ssh | emergency | \
            debug-shell | console-shell | system-update-cleanup | packagekit-offline-update | initrd-* | dracut-*)
            refuse_value "Restart takes no unit that stops the machine, isolates it or opens a root shell: $unit"
            ;;
    esac
}

refuse_value() {
    finish bad_parameter "$1"
}
