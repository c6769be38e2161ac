#!/bin/bash
# Go's static programs: small stacks, signals at any instruction, a vfork of their own.
. "$SOURCE/tests/end_to_end/same.sh"
command -v go >/dev/null || { echo "there is no go"; exit 77; }
old='; find . -depth -exec touch -h -d @1600000000 {} +'
cat > "$here/go.go" <<'GO'
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, time.Now().Year() > 2000)
	}
	in, _ := os.ReadFile("in")
	fmt.Print(string(in))
	var group sync.WaitGroup
	for i := 0; i < 40; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			name := fmt.Sprint("f", i)
			os.WriteFile(name, []byte(name), 0644)
			read, _ := os.ReadFile(name)
			if len(os.Args) > 1 {
				runtime.GC() // notes when it was
			}
			out, err := exec.Command("cat", "in").Output()
			if string(read) != name || string(out) != string(in) || err != nil {
				fmt.Println("wrong", string(read), string(out), err)
			}
		}(i)
	}
	group.Wait()
	fmt.Println("done")
}
GO
for flags in '' '-s -w'; do
  HOME=$here CGO_ENABLED=0 go build -ldflags="$flags" -o "$here/go" "$here/go.go" || { echo 'go: does not compile'; faults=$((faults + 1)); }
  # The order of its maps is another one each time, so it is cached only where random numbers are chosen.
  scenario "go $flags: random numbers" run "echo x > in; cp $here/go go$old" './go'
  options=--random=7
  scenario "go $flags" hit "echo x > in; cp $here/go go$old" './go'
  edited "go $flags: an input changed" run "echo x > in; cp $here/go go$old" './go' 'echo y > in'
  scenario "go $flags: the time" run "echo x > in; cp $here/go go$old" './go time'
  options=
done
# More threads at once in calls than a small number of stacks would serve.
cat > "$here/many.go" <<'GO'
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	c := make(chan int)
	var ready, done sync.WaitGroup
	for i := 0; i < 300; i++ {
		ready.Add(1)
		done.Add(1)
		go func() { runtime.LockOSThread(); ready.Done(); <-c; done.Done() }()
	}
	ready.Wait()
	close(c)
	done.Wait()
	fmt.Println("done")
}
GO
HOME=$here CGO_ENABLED=0 go build -o "$here/many" "$here/many.go" || { echo 'many: does not compile'; faults=$((faults + 1)); }
scenario 'many threads' run "cp $here/many many" 'timeout 20 ./many'
# Whichever way it is linked: a Go program is known as one, and runs as it does plain. (When ld.so loads it, or no note says
# that it is Go's, it is not rewritten like the others.)
cat > "$here/garbage.go" <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

func main() {
	var group sync.WaitGroup
	for i := 0; i < 100; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 20; j++ {
				os.ReadFile("in")
				_ = make([]byte, 20000)
			}
		}()
	}
	group.Wait()
	runtime.GC()
	fmt.Println("done")
}
GO
sed 's/^import (/import "C"\n&/' "$here/garbage.go" > "$here/with_c.go"
build_go() { # NAME SOURCE WORDS...
  local name=$1 source=$2; shift 2
  HOME=$here go build -o "$here/$name" "$@" "$here/$source" || { echo "$name: does not compile"; faults=$((faults + 1)); }
  scenario "go, $name" run "echo x > in; cp $here/$name p$old" 'timeout 30 ./p'
}
CGO_ENABLED=0 build_go no_note garbage.go -ldflags=-buildid=
CGO_ENABLED=0 build_go moved garbage.go -buildmode=pie
CGO_ENABLED=1 build_go linked_with_c with_c.go
CGO_ENABLED=1 build_go linked_outside with_c.go -ldflags=-linkmode=external
finish
