# Turns the benchmark's single measurements into the table and the JSON file.
#
# Input, separated by tabs: row, contestant, unit, first figure, second figure. The figures are wall and CPU time, or hits
# and misses where the unit is "count", or a size and nothing where it is "KiB". Variables: json machine jobs reps.

function median(list, parts, n, i, j, v) {
  n = split(list, parts, " ")
  for (i = 2; i <= n; i++) {
    v = parts[i] + 0
    for (j = i - 1; j >= 1 && parts[j] + 0 > v; j--) parts[j + 1] = parts[j]
    parts[j + 1] = v
  }
  if (n % 2) return parts[(n + 1) / 2] + 0
  return (parts[n / 2] + parts[n / 2 + 1]) / 2
}
function ratio(a, b) {
  if (b > 0) return sprintf("%.3f", a / b)
  return ""
}
function or_null(text) {
  return text == "" ? "null" : text
}
function numbers(list) {
  gsub(/ /, ", ", list)
  return "[" list "]"
}
function quoted(text) {
  gsub(/\\/, "\\\\", text)
  gsub(/"/, "\\\"", text)
  return "\"" text "\""
}

{
  key = $1 SUBSEP $2
  if (!($1 in columns)) rows[++row_count] = $1
  if (!(key in unit)) {
    column[$1, ++columns[$1]] = $2
    unit[key] = $3
  }
  first[key] = first[key] (first[key] == "" ? "" : " ") $4
  second[key] = second[key] (second[key] == "" ? "" : " ") $5
}

END {
  printf "%-20s %-12s %14s %8s %14s %8s  %s\n", "row", "", "wall", "ratio", "CPU", "ratio", "more than plain"
  print "{" >json
  print "  \"machine\": " quoted(machine) "," >json
  print "  \"jobs\": " jobs "," >json
  print "  \"repetitions\": " reps "," >json
  print "  \"rows\": [" >json
  # one row after the other, each with its contestants in the order they ran
  for (r = 1; r <= row_count; r++)
    for (c = 1; c <= columns[rows[r]]; c++) {
      row[++count] = rows[r]
      name[count] = column[rows[r], c]
    }
  for (i = 1; i <= count; i++) {
    key = row[i] SUBSEP name[i]
    plain = row[i] SUBSEP "plain"
    what = unit[key]
    a = median(first[key])
    b = median(second[key])
    entry = "    {\"row\": " quoted(row[i]) ", \"contestant\": " quoted(name[i]) ", \"unit\": " quoted(what)
    if (what == "count") {
      printf "%-20s %-12s %d hits, %d misses\n", row[i], "vestal", a, b
      entry = entry ", \"hits\": " a ", \"misses\": " b
    } else if (what == "KiB") {
      printf "%-20s %-12s broker's peak %.1f MiB\n", row[i], "vestal", a / 1024
      entry = entry ", \"value\": " a
    } else {
      plain_a = plain in first ? median(first[plain]) : 0
      plain_b = plain in second ? median(second[plain]) : 0
      printf "%-20s %-12s %11.3f %-2s %8s", row[i], name[i], a, what, ratio(a, plain_a)
      if (b > 0) printf " %11.3f %-2s %8s", b, what, ratio(b, plain_b)
      else printf " %14s %8s", "", ""
      if (what != "s" && name[i] != "plain" && plain_a > 0) printf "  %+.0f %s", a - plain_a, what
      printf "\n"
      entry = entry ", \"wall\": " a ", \"cpu\": " b ", \"wall_ratio\": " or_null(ratio(a, plain_a)) \
        ", \"cpu_ratio\": " or_null(b > 0 ? ratio(b, plain_b) : "") ", \"walls\": " numbers(first[key]) ", \"cpus\": " numbers(second[key])
    }
    print entry "}" (i < count ? "," : "") >json
  }
  print "  ]\n}" >json
}
