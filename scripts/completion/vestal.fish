# Completion of vestal for fish. Made from the program's own table of options (vestal help --table).
set -g __vestal_table (string split \n -- '@TABLE@')

function __vestal_rows --argument-names kind command # what the table has of these
    string replace --filter --regex -- "^$kind\t$command\t" '' $__vestal_table
end

# What stands behind an option of the command: "DIR", or nothing if it is a flag or not known.
function __vestal_type --argument-names command option
    for row in (__vestal_rows option $command)
        set -l columns (string split \t -- $row)
        if contains -- $option (string split , -- $columns[1]); and test $columns[2] != -
            echo $columns[2]
        end
    end
end

# A name and its purpose for each row.
function __vestal_described --argument-names kind command
    for row in (__vestal_rows $kind $command)
        set -l columns (string split \t -- $row)
        set -l purpose $columns[-1]
        test $kind = act; and set purpose $columns[3]
        for name in (string split , -- $columns[1])
            printf '%s\t%s\n' $name $purpose
        end
    end
end

function __vestal_values --argument-names type prefix word
    switch "$type"
        case '*DIR*'
            string replace --regex -- '^' "$prefix" (__fish_complete_directories $word)
        case '*FILE*' '*PATH*' '*MODEL*'
            string replace --regex -- '^' "$prefix" (__fish_complete_path $word)
        case '*PACKAGE*'
            dpkg-query -W -f '${Package}\n' "$word*" 2>/dev/null
        case COMMAND
            __vestal_described act vestal
        case '*|*'
            # Of real|SEED what can be typed as it stands.
            string replace --regex -- '^' "$prefix" (string match --regex -- '^[a-z]+$' (string split '|' -- $type))
    end
end

function __vestal_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    set -l command vestal
    set -l waits ''
    set -l ended ''
    set -l act ''
    set -l synopsis ''
    set -l count 1
    set -l at 2
    while test $at -le (count $words)
        set -l one $words[$at]
        if test -n "$waits"
            set waits ''
        else if test -z "$ended"; and string match --quiet -- '-?*' $one
            if test $one = --
                set ended yes
            else if test $command != vestal; and not string match --quiet -- '*=*' $one
                # In front of the command values stand behind an equals sign.
                set waits (__vestal_type $command $one)
            end
        else if test $command = vestal
            set command $one
            test $command = make; and break
        else if contains -- $command run import
            break
        else
            set -l rest
            test -z "$act"; and set rest (string match --regex -- "^$one\t.*" (__vestal_rows act $command))
            if test -n "$rest"
                set act $one
                set -l columns (string split \t -- $rest)
                set synopsis $columns[2]
                test $columns[-1] = own; and set command "$command $act"
            else
                set count (math $count + 1)
            end
        end
        set at (math $at + 1)
    end

    if test -n "$waits"
        __vestal_values $waits '' $word
    else if test $command = make; or begin
            contains -- $command run import; and begin
                test $at -le (count $words); or test -n "$ended"; or not string match --quiet -- '-*' $word
            end
        end
        # The command is completed as if vestal was not there.
        test $command = make; and string match -- '--precise*' (__vestal_described option make)
        complete --do-complete (string join ' ' -- (string escape -- $words[$at..]) $word)
    else if test -z "$ended"; and string match --quiet -- '--*=*' $word
        set -l parts (string split --max 1 = -- $word)
        __vestal_values (__vestal_type $command $parts[1]) "$parts[1]=" $parts[2]
    else if test -z "$ended"; and string match --quiet -- '-*' $word
        for row in (__vestal_described option $command)
            set -l name (string split \t -- $row)[1]
            if test $command = vestal; and test -n "$(__vestal_type vestal $name)"
                string replace -- \t =\t $row
            else
                echo $row
            end
        end
    else if test -z "$act"; and test -n "$(__vestal_rows act $command)"
        __vestal_described act $command
    else
        if test -z "$act"
            set synopsis (string split \t -- (string match --regex -- "^$command\t.*" (__vestal_rows act vestal)))[2]
        end
        set -l expected (string match --invert -- '-*' (string split --no-empty ' ' -- (string replace --all --regex -- '[][]' '' $synopsis)))
        # The last may be repeated.
        if test (count $expected) -gt 0; and string match --quiet -- '*...' $expected[-1]; and test $count -gt (count $expected)
            set count (count $expected)
        end
        # A PATH in a tree is no file.
        test "$command/$expected[$count]" = tree/PATH; or __vestal_values "$expected[$count]" '' $word
    end
end
complete --command vestal --no-files --arguments '(__vestal_complete)'
