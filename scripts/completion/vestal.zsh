#compdef vestal
# Completion of vestal for zsh. Made from the program's own table of options (vestal help --table).
_vestal_rows() { # KIND COMMAND: what the table has of these
  local kind of rest
  while IFS=$'\t' read -r kind of rest; do
    [[ $kind/$of = $1/$2 ]] && print -r -- $rest
  done <<'END'
@TABLE@
END
}

# What stands behind OPTION of COMMAND: "DIR", or nothing if it is a flag or not known.
_vestal_type() { # COMMAND OPTION
  local names type rest
  _vestal_rows option $1 | while IFS=$'\t' read -r names type rest; do
    [[ ,$names, = *,$2,* && $type != - ]] && print -r -- $type
  done
}

# NAME:PURPOSE of each row, for _describe.
_vestal_described() { # KIND COMMAND
  local names rest name
  _vestal_rows $1 $2 | while IFS=$'\t' read -r names rest; do
    local columns=("${(@s:	:)rest}")
    local purpose=$columns[-1]
    [[ $1 = act ]] && purpose=$columns[2]
    for name in ${(s:,:)names}; do print -r -- $name:$purpose; done
  done
}

_vestal_values() { # TYPE
  local -a all
  case $1 in
    *DIR*) _files -/ ;;
    *FILE*|*PATH*|*MODEL*) _files ;;
    *PACKAGE*) all=(${(f)"$(dpkg-query -W -f '${Package}\n' "$PREFIX*" 2>/dev/null)"}); compadd -a all ;;
    COMMAND) all=(${(f)"$(_vestal_described act vestal)"}); _describe command all ;;
    # Of real|SEED what can be typed as it stands.
    *'|'*) all=(${(M)${(s:|:)1}:#[a-z]##}); compadd -a all ;;
    *) _message ${1:-no more words} ;;
  esac
}

# The command from word PLACE on is completed as if vestal was not there.
_vestal_other() { # PLACE
  shift $(($1 - 1)) words
  CURRENT=$((CURRENT - $1 + 1))
  _normal
}

_vestal() {
  setopt localoptions extendedglob
  local command=vestal waits= ended= act= synopsis= word name rest
  local -a all expected columns
  integer at count=0
  for ((at = 2; at < CURRENT; ++at)); do
    word=$words[at]
    if [[ -n $waits ]]; then
      waits=
    elif [[ -z $ended && $word = -?* ]]; then
      if [[ $word = -- ]]; then ended=yes
      # In front of the command values stand behind an equals sign.
      elif [[ $command != vestal && $word != *=* ]]; then waits=$(_vestal_type $command $word)
      fi
    elif [[ $command = vestal ]]; then
      command=$word
      [[ $command = make ]] && break
    else
      [[ $command = (run|import) ]] && { _vestal_other $at; return }
      rest=
      [[ -z $act ]] && rest=${(M)${(f)"$(_vestal_rows act $command)"}:#$word	*}
      if [[ -n $rest ]]; then
        act=$word columns=("${(@s:	:)rest}")
        synopsis=$columns[2]
        [[ $columns[-1] = own ]] && command+=" $act"
      else
        ((++count))
      fi
    fi
  done

  word=$words[CURRENT]
  if [[ -n $waits ]]; then
    _vestal_values $waits
  elif [[ $command = make ]]; then
    all=(${(M)${(f)"$(_vestal_described option make)"}:#--precise*})
    [[ $word = -* ]] && _describe -o option all
    _vestal_other $at
  elif [[ -z $ended && $word = --*=* ]]; then
    rest=$(_vestal_type $command ${word%%=*})
    compset -P '*=' && _vestal_values $rest
  elif [[ -z $ended && $word = -* ]]; then
    all=(${(f)"$(_vestal_described option $command)"})
    if [[ $command = vestal ]]; then
      local -a with_value=()
      for name in $all; do
        [[ -n $(_vestal_type vestal ${name%%:*}) ]] && with_value+=($name) all=(${all:#$name})
      done
      _describe -o option all -- with_value -S =
    else
      _describe -o option all
    fi
  elif [[ $command = (run|import) ]]; then
    _vestal_other CURRENT
  elif [[ -z $act && -n $(_vestal_rows act $command) ]]; then
    all=(${(f)"$(_vestal_described act $command)"})
    _describe command all
  else
    if [[ -z $act ]]; then
      rest=${(M)${(f)"$(_vestal_rows act vestal)"}:#$command	*}
      columns=("${(@s:	:)rest}")
      synopsis=$columns[2]
    fi
    for rest in ${=synopsis//[][]/}; do [[ $rest = -* ]] || expected+=($rest); done
    # The last may be repeated.
    [[ $#expected -gt 0 && $expected[-1] = *... && $count -ge $#expected ]] && count=$#expected-1
    # A PATH in a tree is no file.
    [[ $command/$expected[count+1] = tree/PATH ]] || _vestal_values "$expected[count+1]"
  fi
}
_vestal "$@"
