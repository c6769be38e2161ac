#!/bin/bash
# --report FILE: a page that needs nothing else, in which whatever comes from the build is text.
. "$SOURCE/tests/end_to_end/cli.sh"
work=$PWD/work
mkdir -p work && cd work || exit 1
cat >Makefile <<'M'
all: a.o b.o stamp odd
%.o: %.c
	gcc -c $< -o $@
stamp: force
	@date >stamp
odd: force
	@true '<script>document.title="run"</script>' '</script><img src=x onerror="document.title=1">' '&lt;' >odd
force:
M
echo 'int a;' >a.c
echo 'int b;' >b.c
cat >look.py <<'P'
# Looks at a page: prints one thing of it.
import html.parser, json, sys
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.addresses, self.texts, self.rows, self.data, self.kind = [], [], [], {}, {}, '', None
    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.addresses += [attributes[name] for name in ('src', 'href', 'data', 'action') if name in attributes]
        if tag not in ('meta', 'link', 'img', 'br'): self.open.append((tag, attributes.get('id')))
        if tag == 'script': self.kind = attributes.get('type', 'script')
        if tag == 'tr':
            for name, identity in self.open:
                if name == 'table': self.rows[identity] = self.rows.get(identity, 0) + 1
    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open)
        self.open.pop()
    def handle_data(self, data):
        for name, identity in self.open:
            self.texts[identity or name] = self.texts.get(identity or name, '') + data
        if self.open and self.open[-1] == ('script', 'data'): self.data += data
page = Page()
page.feed(open(sys.argv[1]).read())
page.close()
assert not page.open, page.open
data = json.loads(page.data)
text = page.texts['body']
odd = '''true '<script>document.title="run"</script>' '</script><img src=x onerror="document.title=1">' '&lt;' '''.strip()
print(eval(sys.argv[2]))
P
look() { python3 look.py r.html "$1"; }

run "$VESTAL" --report r.html --summary make -j2
result 'the command' 0 '*gcc -c a.c -o a.o*' 'vestal: 0 hits, * misses, * not cacheable; 0.00 s saved'
steps=$(($(grep -o '[0-9]*' <<<"${err%;*}" | paste -sd+)))
is 'all steps are drawn' "$steps" "$(look 'len(data["bars"])')"
is 'where they were and what they did' "{'$work'}" "$(look '{bar[7] for bar in data["bars"]}')"
like 'the header' "*make -j2*in $work*Began*20*Took*Ended with*status 0*Hits*0*Misses*Not cacheable*Saved*" "$(look 'page.texts["header"]')"
like 'reasons' '*no result of this command*' "$(look 'page.texts["reasons"]')"
like 'what is to blame' '*reads the clock*' "$(look 'page.texts["reasons"]')"
is 'the slowest steps are those without others inside' False "$(look '"make -j2" in page.texts["slowest"]')"
like 'a step is among them' '*gcc -c a.c -o a.o*' "$(look 'page.texts["slowest"]')"
is 'the critical path has rows' True "$(look 'page.rows["path"] > 2')"
like 'make is on it' '*make -j2*' "$(look 'page.texts["path"]')"
is 'nothing is fetched' '[]' "$(look 'page.addresses')"
is 'nothing stands in it but what vestal has put there' "['script', 'script']" "$(look '[tag for tag in page.tags if tag in ("script", "img", "link", "iframe")]')"
is 'odd text is text' True "$(look "odd in page.texts['slowest'] and any(odd in bar[5] for bar in data['bars'])")"
like 'and the policy of the page lets nothing else run' "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-*'" \
  "$(sed -n 's/.*Content-Security-Policy" content="\(.*\)">/\1/p' r.html)"
is 'for it has the digest of its script' "$(sed -n "s/.*script-src 'sha256-\(.*\)'\">/\1/p" r.html)" \
  "$(python3 -c 'import base64, hashlib; text = open("r.html").read(); print(base64.b64encode(hashlib.sha256(text[text.rindex("<script>") + 8:text.rindex("</script>")].encode()).digest()).decode())')"

mv r.html first.html && rm ./*.o
run "$VESTAL" --report r.html make
result 'again' 0 '*' ''
is 'hits' "['hit', 'hit']" "$(look '[bar[4] for bar in data["bars"] if bar[5].startswith("gcc -c")]')"
"$VESTAL" run --report r.html -- sh -c 'exit 3'
is 'a command that fails: status' 3 $?
like 'is told of' '*status 3*' "$(look 'page.texts["header"]')"
"$VESTAL" run --report r.html -- sh -c 'exit 3'
like 'every step a hit' '*Every step was a hit.*' "$(look 'text')"
"$VESTAL" run --trace t.json --report r.html true
is 'both at once' 1 "$(look 'len(data["bars"])')$([ -s t.json ] || echo no)"
run "$VESTAL" run --report nowhere/r.html touch made
result 'a file that cannot be written' 125 '' 'vestal: not run, for it could not be told of: --report nowhere/r.html: No such file or directory'

if ! command -v chromium >/dev/null; then
  echo 'not looked at in a browser: there is no chromium'
  [ $faults = 0 ] && exit 77
  finish
fi
# In a browser: the timeline is drawn, and no script ran but the page's own.
mkdir -p browser
timeout 100 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/browser" --virtual-time-budget=3000 --dump-dom "file://$work/first.html" >dom.html 2>browser.text
like 'the title is as it was written' '*<title>make -j2 - vestal</title>*' "$(cat dom.html)"
like 'the timeline has its height' '*<canvas id="timeline"*style="height: *px;"*' "$(cat dom.html)"
finish
