# Plays sequences of commands and edits, plain and under vestal, and compares them. To be sourced by bash; not a test.
#
#   hazard NAME SETUP COMMAND [STEP...]
#
# SETUP is shell text that fills an empty directory. There COMMAND is run, and then, in the same place, each STEP:
#
#   '= EDIT'      nothing that matters to COMMAND: it is run again, and must be replayed
#   '! EDIT'      something that matters: it is run again, and must do what it does plain
#   '> COMMAND'   this is the command from here on, and is run
#
# The sequence is played three times: plain, under vestal with a cache that does not know it, and under vestal once more,
# where the first command must be replayed too. After each command its status, both streams and the whole tree must be
# what they were plain. All that is done with COMMAND at the top, inside `sh -c`, and as a recipe of make; and once more
# with the whole sequence, edits and all, as one command (place "one").
#
# EDIT and SETUP are run by one bash, outside vestal: what they export, umask and limits hold for what comes after.
# COMMAND is shell text. At the top vestal stands before its first word, or where it says $V: `FOO=1 $V env`. What comes
# from programs that the text itself runs in other ways is plain.
#
#   uncached NAME SETUP COMMAND [STEP...]    the same, but nothing has to be replayed: what it does cannot be checked
#   places='top sh' hazard ...               only there, if the rest makes no sense
#   program NAME <<C                         compiles a C program to $bin/NAME
#   finish
#
# Contents, size and link count of files named *.noise do not count.
#
# TOOL='other command' plays the same sequences with another tool that goes in front of a command; nothing has to be
# replayed then. TOOL_RESET is shell text that empties its cache. HAZARD=PATTERN plays only the scenarios of that name.
here=$PWD bin=$PWD/bin
faults=0 played=0 skipped=0
mkdir -p "$here/noted" "$bin"
if [ -z "${TOOL+set}" ]; then
  [ -x "$VESTAL" ] || { echo "there is no $VESTAL"; exit 1; }
  TOOL="$VESTAL run --" counts_hits=yes
else
  counts_hits=no
fi
# Not what a user's own set-up puts in front of it.
python="$(PATH=/usr/bin:/bin command -v python3) -S"
perl=$(PATH=/usr/bin:/bin command -v perl)
export python perl bin here

program() { # NAME [WORDS FOR GCC...]
  local name=$1; shift
  gcc -w -x c - -o "$bin/$name" "$@" || { echo "cannot compile $name"; exit 1; }
}
cat >"$here/tree.pl" <<'P'
# The tree as a program could find it. Times less than an hour old are "now": nobody set them. Those of directories are
# left out, see docs/limits.md.
my $recent = time - 3600;
sub show {
  my ($path) = @_;
  my ($mode, $links, $uid, $gid, $size, $mtime) = (lstat $path)[2, 3, 4, 5, 7, 9];
  my $kind = $mode >> 12;
  my $noise = $path =~ /\.noise$/;
  printf "%s %o %d:%d", $path, $mode, $uid, $gid;
  if ($kind == 4) {
    print "\n";
    opendir my $list, $path or return print "cannot be listed\n";
    show("$path/$_") for sort grep { $_ ne "." && $_ ne ".." } readdir $list;
    return;
  }
  print $mtime > $recent ? " now" : " $mtime";
  print " links $links" unless $noise;
  print " size $size" if $kind == 8 && !$noise;
  print " -> ", readlink $path if $kind == 10;
  print "\n";
  return if $kind != 8 || $noise;
  open my $file, "<", $path or return print "cannot be read\n";
  local $/;
  print "  | $_\n" for split /\n/, <$file>, -1;
}
# What came of the command, and then the tree.
for my $stream ("out", "err") {
  open my $file, "<", "$ARGV[0]/$stream" or next;
  print "$stream: $_" while <$file>;
}
show(".");
P
count() { # sets hits, others
  local json
  json=$("$VESTAL" stats --json)
  [[ $json =~ '"hits": '([0-9]+) ]] && hits=${BASH_REMATCH[1]}
  [[ $json =~ '"misses": '([0-9]+) ]] && others=${BASH_REMATCH[1]}
  [[ $json =~ '"not_cacheable": '([0-9]+) ]] && others="$others ${BASH_REMATCH[1]}"
}

# The whole sequence as the text of one shell.
run_as_one() { # LABEL
  local text="( $command ); echo status \$?" step
  for step in "${steps[@]}"; do
    case $step in
      '> '*) command=${step:2} ;;
      *) text="$text
{ ${step:2}; } >/dev/null 2>&1 </dev/null" ;;
    esac
    text="$text
( $command ); echo status \$?"
  done
  V= $tool bash -c "$text" >"$here/noted/out" 2>"$here/noted/err" </dev/null
  status=$?
  tidy_errors
  { echo "status $status"; "$perl" "$here/tree.pl" "$here/noted"; } >>"$here/noted/$1" 2>&1
}
# What the shell says of a process that died has its number in it. That vestal cannot serve a command is said in one line,
# which counts but where a scenario goes to another namespace, user or home.
tidy_errors() {
  sed -i -E 's/line ([0-9]+): +[0-9]+ Killed.*/line \1: killed/' "$here/noted/err"
  [ -z "${elsewhere-}" ] || sed -i '/^vestal: running without the cache: /d' "$here/noted/err"
}
# One pass over the sequence. Everything seen is appended to one file.
run_once() { # LABEL NUMBER [hit]
  local status hits others hits_before others_before
  [ "${3-}" = hit ] && count && hits_before=$hits others_before=$others
  case $place in
    top) case $command in *'$V'*) V=$tool; eval "$command" ;; *) eval "$tool $command" ;; esac ;;
    sh) V=; $tool sh -c "$command; exit \$?" ;;
    make) V=; $tool make -rR -f "$here/rule.mk" ;;
  esac >"$here/noted/out" 2>"$here/noted/err" </dev/null
  status=$?
  tidy_errors
  if [ "${3-}" = hit ]; then
    count
    [ "$hits" -gt "$hits_before" ] && { [ $place = make ] || [ "$others" = "$others_before" ]; } || echo "$1, command $2" >>"$here/noted/not_hit"
  fi
  { echo "command $2: $command"; echo "status $status"; "$perl" "$here/tree.pl" "$here/noted"; } >>"$here/noted/$1" 2>&1
}
recipe() { # for the command of now
  [ $place = make ] || return
  printf 'all:\n\t@%s\n' "${command//\$/\$\$}" >"$here/rule.mk"
  touch -d @1000000000 "$here/rule.mk"
}
pass() { # LABEL TOOL
  local label=$1 tool=$2 number=1 step hits=no
  chmod -R u+rwX "$here/$place" 2>/dev/null
  rm -rf "${here:?}/$place"
  mkdir "$here/$place"
  : >"$here/noted/$label"
  [ "$asked" = yes ] && [ $counts_hits = yes ] && [ $label != plain ] && hits=yes
  (
    cd "$here/$place" || exit
    { eval "$setup"; } >/dev/null 2>&1 </dev/null
    if [ $place = one ]; then run_as_one $label; exit; fi
    recipe
    if [ $hits = yes ] && [ $label = warm ]; then run_once $label 1 hit; else run_once $label 1; fi
    for step in "${steps[@]}"; do
      number=$((number + 1))
      case $step in
        '= '*) { eval "${step:2}"; } >/dev/null 2>&1 </dev/null
          if [ $hits = yes ]; then run_once $label $number hit; else run_once $label $number; fi ;;
        '! '*) { eval "${step:2}"; } >/dev/null 2>&1 </dev/null; run_once $label $number ;;
        '> '*) command=${step:2}; recipe; run_once $label $number ;;
        *) echo "$name: no such step: $step" >>"$here/noted/$label" ;;
      esac
    done
  )
}
play() {
  local name=$1 setup=$2 command=$3 place label
  local -a steps=("${@:4}")
  # shellcheck disable=SC2254
  case $name in ${HAZARD:-*}) ;; *) return ;; esac
  played=$((played + 1))
  for place in ${places:-top sh make one}; do
    : >"$here/noted/not_hit"
    eval "${TOOL_RESET-}"
    pass plain ''
    for label in cold warm; do
      pass $label "$TOOL"
      cmp -s "$here/noted/plain" "$here/noted/$label" && continue
      faults=$((faults + 1))
      echo "WRONG   $name ($place): $label is not as plain"
      diff -a "$here/noted/plain" "$here/noted/$label" | head -n 12 | sed 's/^/          /'
    done
    [ -s "$here/noted/not_hit" ] || continue
    faults=$((faults + 1))
    echo "NO HIT  $name ($place): $(tr '\n' ';' <"$here/noted/not_hit")"
  done
}
hazard() { local asked=yes; play "$@"; }
uncached() { local asked=no; play "$@"; }
finish() {
  chmod -R u+rwX "$here" 2>/dev/null
  echo "$played scenarios, $faults faults"
  [ $faults -eq 0 ]
  exit
}
