# shellcheck shell=sh
# The document's parameters: read, and checked again.

# The agent sets SSM_<Name>; one older than 3.3.2746.0 writes the values into this text instead.
read_parameters() {
    Target=${SSM_Target-'{{ Target }}'}
    Repository=${SSM_Repository-'{{ Repository }}'}
    Checkout=${SSM_Checkout-'{{ Checkout }}'}
    Branch=${SSM_Branch-'{{ Branch }}'}
    Commit=${SSM_Commit-'{{ Commit }}'}
    Update=${SSM_Update-'{{ Update }}'}
    AfterPull=${SSM_AfterPull-'{{ AfterPull }}'}
    Restart=${SSM_Restart-'{{ Restart }}'}
    HealthCheck=${SSM_HealthCheck-'{{ HealthCheck }}'}
    Timeout=${SSM_Timeout-'{{ Timeout }}'}
    Issued=${SSM_Issued-'{{ Issued }}'}
    Cause=${SSM_Cause-'{{ Cause }}'}
    # By hand, what is not given still has its braces, which no value may have.
    for name in Target Repository Checkout Branch Commit AfterPull Restart HealthCheck Issued; do
        eval "case \$$name in '{'*) $name= ;; esac"
    done
    case $Update in '{'*) Update=rebase ;; esac
    case $Timeout in '{'*) Timeout=600 ;; esac
    case $Cause in '{'*) Cause=manual ;; esac
}

check_parameters() {
    an=A-Za-z0-9
    check Target "$Target" a-z0-9 a-z0-9- 50
    known_target=$Target # only now may it stand in the result
    check Repository "$Repository" "$an" "${an}._/-" 170
    check Checkout "$Checkout" / "${an}./@+=,_-" 600
    check Branch "$Branch" "${an}_" "${an}./@+=,#%_-" 200
    check Timeout "$Timeout" 1-9 0-9 6
    case $Repository in
        */*/* | */ | */. | */..) bad "Repository must be owner/name" ;;
        */*) ;;
        *) bad "Repository must be owner/name" ;;
    esac
    case $Checkout/ in */../*) bad "Checkout must not have .. in it" ;; esac
    case /$Branch/ in
        *..* | *//* | */.* | *./* | *.lock/* | /HEAD/ | /refs/*) bad "Branch is no branch's name" ;;
    esac
    case $Update in
        rebase | reset | exact | check) ;;
        *) bad "Update must be rebase, reset, exact or check" ;;
    esac
    case $Cause in
        push | reconcile | rollback | manual) ;;
        *) bad "Cause must be push, reconcile, rollback or manual" ;;
    esac
    [ "$Timeout" -ge 20 ] || bad "Timeout must be 20 seconds or more"
    if [ -n "$Commit" ]; then
        check Commit "$Commit" 0-9a-f 0-9a-f 40
        [ ${#Commit} -eq 40 ] || bad "Commit must have 40 digits"
    fi
    [ "$Update" != exact ] || [ -n "$Commit" ] || bad "Update=exact needs a Commit"
    [ -z "$Issued" ] || check Issued "$Issued" 0-9 0-9 15
    if [ -n "$AfterPull" ]; then
        check AfterPull "$AfterPull" "${an}._" "${an}._/+-" 201
        case /$AfterPull/ in */../* | */.git/*) bad "AfterPull must be in the repository" ;; esac
    fi
    [ -z "$Restart" ] || check_units
    if [ -n "$HealthCheck" ]; then
        check HealthCheck "$HealthCheck" h "${an}.:/?&=%~+,;@#*!()_-" 408
        case $HealthCheck in
            http://?* | https://?*) ;;
            *) bad "HealthCheck must be an http:// or https:// URL" ;;
        esac
    fi
}

# Refuse an empty value, one that begins with or has a character outside the sets, one too long.
check() { # name value first rest longest
    case $2 in
        '') bad "$1 is missing" ;;
        [!$3]* | ?*[!$4]*) bad "$1 has a character that is not allowed there" ;;
    esac
    [ ${#2} -le "$5" ] || bad "$1 has more than $5 characters"
}

# Units that run something of a site's: starting a target, like poweroff.target, stops or changes others.
check_units() {
    check Restart "$Restart" "${an}_" "${an}.:@,_-" 401
    units=$Restart,
    while [ -n "$units" ]; do
        unit=${units%%,*} units=${units#*,}
        case $unit in
            '' | [!A-Za-z0-9_]*) bad "Restart must be units separated by commas" ;;
            *.service | *.socket | *.timer | *.path) ;;
            *.*) bad "Restart takes .service, .socket, .timer and .path, not $unit" ;;
        esac
        refuse_unit_of_machine "$unit"
        refuse_alias
    done
}

# What stops the machine, takes everything else down, or opens a shell of root's on its console; an
# instance of a template as well. chalicelib/core/targets.py has the same names.
refuse_unit_of_machine() { # unit
    name=$1
    case $1 in *.service | *.socket | *.timer | *.path) name=${1%.*} ;; esac
    case ${name%%@*} in
        systemd-poweroff | systemd-reboot | systemd-halt | systemd-kexec | systemd-soft-reboot | systemd-exit | \
            systemd-suspend | systemd-hibernate | systemd-hybrid-sleep | systemd-suspend-then-hibernate | \
            systemd-hibernate-resume | systemd-sysupdate-reboot | systemd-factory-reset* | \
            poweroff | reboot | halt | kexec | shutdown | single | rescue | rescue-ssh | emergency | \
            debug-shell | console-shell | system-update-cleanup | packagekit-offline-update | initrd-* | dracut-*)
            bad "Restart takes no unit that stops the machine, isolates it or opens a root shell: $unit"
            ;;
    esac
}

# Another name that this host has for such a unit, or for the template of one.
refuse_alias() {
    case $unit in
        *.service | *.socket | *.timer | *.path) file=$unit ;;
        *) file=$unit.service ;;
    esac
    for folder in /etc /run /usr/local/lib /usr/lib /lib; do
        for link in "$folder/systemd/system/$file" "$folder/systemd/system/${file%%@*}@.${file##*.}"; do
            [ -L "$link" ] || continue
            link=$(readlink -f "$link")
            refuse_unit_of_machine "${link##*/}"
        done
    done
}

bad() {
    finish bad_parameter "$1"
}
