# Completion of vestal for bash. Made from the program's own table of options (vestal help --table).
_vestal_rows() { # KIND COMMAND: what the table has of these
  local kind of rest
  while IFS=$'\t' read -r kind of rest; do
    [ "$kind/$of" = "$1/$2" ] && printf '%s\n' "$rest"
  done <<'END'
@TABLE@
END
}

# What stands behind OPTION of COMMAND: "DIR", or nothing if it is a flag or not known.
_vestal_type() { # COMMAND OPTION
  local names type rest
  while IFS=$'\t' read -r names type rest; do
    [[ ,$names, = *",$2,"* && $type != - ]] && printf '%s\n' "$type"
  done < <(_vestal_rows option "$1")
}

_vestal_names() { # KIND COMMAND
  local names rest
  while IFS=$'\t' read -r names rest; do printf '%s\n' "${names//,/ }"; done < <(_vestal_rows "$1" "$2")
}

_vestal_values() { # TYPE PREFIX WORD: adds to COMPREPLY, PREFIX in front of each
  local one kind
  case $1 in
    *DIR*) kind=-d ;;
    *FILE* | *PATH* | *MODEL*) kind=-f ;;
    *PACKAGE*) kind=$(dpkg-query -W -f '${Package}\n' "$3*" 2>/dev/null) ;;
    COMMAND) kind=$(_vestal_names act vestal) ;;
    # Of real|SEED what can be typed as it stands.
    *'|'*) kind=$(tr '|' '\n' <<<"$1" | grep -x '[a-z]*') ;;
    *) return ;;
  esac
  case $kind in
    -d | -f)
      compopt -o filenames 2>/dev/null
      while IFS= read -r one; do COMPREPLY+=("$2$one"); done < <(compgen $kind -- "$3") ;;
    *) while IFS= read -r one; do COMPREPLY+=("$2$one"); done < <(compgen -W "$kind" -- "$3") ;;
  esac
}

# The command from word PLACE on is completed as if vestal was not there.
_vestal_other() { # PLACE
  local word=${COMP_WORDS[COMP_CWORD]} one
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif [ "$1" -eq "$COMP_CWORD" ]; then
    mapfile -t COMPREPLY < <(compgen -c -- "$word"; [[ $word = */* ]] && compgen -f -- "$word")
  else
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    [[ ${COMP_WORDS[$1]} = make ]] || return
    for one in GNUmakefile makefile Makefile; do
      [ -f $one ] || continue
      mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$(sed -nE 's/^([A-Za-z0-9][A-Za-z0-9_.\/-]*) *:([^=].*)?$/\1/p' $one)" -- "$word")
      break
    done
  fi
}

_vestal() {
  local command=vestal waits='' ended='' act='' synopsis='' glued='' word name rest at count=0
  local -a words=() places=() expected=()
  COMPREPLY=()
  # Bash cuts words at =.
  for ((at = 0; at <= COMP_CWORD; ++at)); do
    word=${COMP_WORDS[at]}
    if [[ $word = '=' && ${#words[@]} -gt 0 && ${words[-1]} = --* && ${words[-1]} != *=* ]]; then
      words[-1]+='=' glued=yes
    elif [ -n "$glued" ]; then
      words[-1]+=$word glued=
    else
      words+=("$word") places+=("$at")
    fi
  done

  for ((at = 1; at < ${#words[@]} - 1; ++at)); do
    word=${words[at]}
    if [ -n "$waits" ]; then
      waits=
    elif [[ -z $ended && $word = -?* ]]; then
      if [ "$word" = -- ]; then ended=yes
      # In front of the command values stand behind an equals sign.
      elif [[ $command != vestal && $word != *=* ]]; then waits=$(_vestal_type "$command" "$word")
      fi
    elif [ "$command" = vestal ]; then
      command=$word
      [ "$command" = make ] && break
    else
      [[ $command = run || $command = import ]] && { _vestal_other "${places[at]}"; return; }
      rest=
      [ -z "$act" ] && rest=$(_vestal_rows act "$command" | grep "^$word"$'\t')
      if [ -n "$rest" ]; then
        act=$word
        IFS=$'\t' read -r name synopsis rest <<<"$rest"
        [[ $rest = *own ]] && command+=" $act"
      else
        count=$((count + 1))
      fi
    fi
  done

  word=${words[-1]}
  if [ -n "$waits" ]; then
    _vestal_values "$waits" '' "$word"
  elif [ "$command" = make ]; then
    _vestal_other "${places[at]}"
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$(_vestal_names option make | grep -vw help)" -- "$word")
  elif [[ -z $ended && $word = --*=* ]]; then
    rest=$(_vestal_type "$command" "${word%%=*}")
    # Bash replaces what is behind the equals sign, or all.
    name=; [[ $COMP_WORDBREAKS = *=* ]] || name=${word%%=*}=
    [ -n "$rest" ] && _vestal_values "$rest" "$name" "${word#*=}"
  elif [[ -z $ended && $word = -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vestal_names option "$command")" -- "$word")
    if [[ $command = vestal && ${#COMPREPLY[@]} -eq 1 && -n $(_vestal_type vestal "${COMPREPLY[0]}") ]]; then
      COMPREPLY[0]+='='
      compopt -o nospace 2>/dev/null
    fi
  elif [[ $command = run || $command = import ]]; then
    _vestal_other "${places[-1]}"
  elif [[ -z $act && -n $(_vestal_rows act "$command") ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_vestal_names act "$command")" -- "$word")
  else
    [ -n "$act" ] || IFS=$'\t' read -r name synopsis rest < <(_vestal_rows act vestal | grep "^$command"$'\t')
    for rest in ${synopsis//[][]/}; do [[ $rest = -* ]] || expected+=("$rest"); done
    # The last may be repeated.
    [[ ${#expected[@]} -gt 0 && ${expected[-1]} = *... && $count -ge ${#expected[@]} ]] && count=$((${#expected[@]} - 1))
    # A PATH in a tree is no file.
    [[ $command/${expected[count]-} = tree/PATH ]] || _vestal_values "${expected[count]-}" '' "$word"
  fi
}
complete -F _vestal vestal
