# Makes a manual page from the program's table of options (vestal help --table) and what is written by hand about it.
#
#   awk -f manual.awk -v of=COMMAND -v date=DATE -v version=VERSION -v by_hand=FILE TABLE      of=vestal: the program itself
#
# FILE, in roff, stands between the options and SEE ALSO; it need not be there.
BEGIN { FS = "\t" }

function escaped(text) {
  gsub(/\\/, "\\e", text)
  gsub(/-/, "\\-", text)
  # What stands in backquotes is to be typed.
  while (match(text, /`[^`]*`/)) text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" substr(text, RSTART + RLENGTH)
  if (text ~ /^[.']/) text = "\\&" text
  return text
}
# Capital words are to be replaced, others are typed.
function synopsis(text,    words, count, at, result) {
  count = split(text, words, " ")
  for (at = 1; at <= count; ++at) result = result (at > 1 ? " " : "") (words[at] ~ /^\[?[A-Z]/ || words[at] == "..." ? "\\fI" : "\\fB") escaped(words[at]) "\\fR"
  return result
}

# The purpose of a command is said before its own rows.
$1 == "act" && $2 == "vestal" && $3 == of { in_short = $5 }
$1 == "about" && $2 == of && !is_begun {
  is_begun = 1
  name = of == "vestal" ? of : "vestal-" of
  if (of == "vestal") in_short = "caches every process of a build"
  in_short = tolower(substr(in_short, 1, 1)) substr(in_short, 2)
  printf ".TH %s 1 %s \"vestal %s\" \"User Commands\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", toupper(name), date, version, escaped(name), escaped(in_short)
  for (at = 1; at <= usages; ++at) print (at > 1 ? ".br\n" : "") synopsis(usage[at])
  print ".SH DESCRIPTION\n" escaped($3)
  next
}
$1 == "usage" && $2 == of { usage[++usages] = $3 }
$1 == "act" && $2 == of {
  acts = acts ".TP\n" synopsis($4 == "-" ? $3 : $3 " " $4) "\n" escaped($5) "\n"
  next
}
$1 == "about" && index($2, of " ") == 1 {
  options = options ".SS \\fBvestal " escaped($2) "\\fR\n" escaped($3) "\n"
}
# Options of an act stand under its name.
$1 == "option" && ($2 == of || index($2, of " ") == 1) {
  count = split($3, names, ",")
  options = options ".TP\n"
  for (at = 1; at <= count; ++at) options = options (at > 1 ? ", " : "") "\\fB" escaped(names[at]) "\\fR"
  # In front of the command values stand behind an equals sign.
  if ($4 != "-") options = options (of == "vestal" ? "=" : " ") "\\fI" escaped($4) "\\fR"
  options = options "\n" escaped($6) "." ($5 == "many" ? " It may be given several times." : "") "\n"
}
$1 == "act" && $2 == "vestal" { all[++all_count] = $3 }

END {
  if (!is_begun) { print "no command " of >"/dev/stderr"; exit 1 }
  if (acts != "") printf ".SH COMMANDS\n%s", acts
  if (options != "") printf ".SH OPTIONS\n%s", options
  while ((getline line <by_hand) > 0) print line
  print ".SH SEE ALSO"
  if (of != "vestal") printf ".BR vestal (1)%s\n", of == "make" ? ",\n.BR make (1)" : ""
  else for (at = 1; at <= all_count; ++at) printf ".BR vestal\\-%s (1)%s\n", escaped(all[at]), at < all_count ? "," : ""
}
