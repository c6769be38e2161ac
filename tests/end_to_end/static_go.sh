#!/bin/bash
# Programs of Go: small stacks, signals at any instruction, a vfork of their own. Static ones, and those that ld.so loads.
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
sed 's/^import (/import "C"\n&/' "$here/go.go" > "$here/with_c.go"
for way in '0 go' '0 go -ldflags=-s' '1 with_c' '1 with_c -buildmode=pie' '1 with_c -ldflags=-linkmode=external'; do
  read -r cgo source flags <<<"$way"
  HOME=$here CGO_ENABLED=$cgo go build $flags -o "$here/go" "$here/$source.go" || { echo 'go: does not compile'; faults=$((faults + 1)); }
  # The order of its maps is another one each time, so it is cached only where random numbers are chosen.
  scenario "go $way: random numbers" run "echo x > in; cp $here/go go$old" './go'
  options=--random=7
  scenario "go $way" hit "echo x > in; cp $here/go go$old" './go'
  edited "go $way: an input changed" run "echo x > in; cp $here/go go$old" './go' 'echo y > in'
  scenario "go $way: the time" run "echo x > in; cp $here/go go$old" './go time'
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
# Whichever way it is linked, a Go program is known as one, and runs as it does plain.
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
sed 's/^import (/import "C"\n&/' "$here/garbage.go" > "$here/garbage_with_c.go"
# What a copy is told of itself is what the program would be told.
cat > "$here/itself.go" <<'GO'
package main

// #include <stdio.h>
// #include <unistd.h>
// static void show(void) { char name[99]; long n = readlink("/proc/self/exe", name, sizeof name); printf("%.*s\n", (int)n, name); fflush(stdout); }
import "C"

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

func main() {
	own, _ := os.Executable()
	name, _ := os.ReadFile("/proc/self/comm")
	text, _ := os.ReadFile("/proc/self/environ")
	variables := strings.Split(string(text), "\x00")
	all := append(os.Environ(), "")
	sort.Strings(variables)
	sort.Strings(all)
	fmt.Println(own, os.Args, string(name), strings.Join(variables, " ") == strings.Join(all, " "), os.Getenv("LD_PRELOAD"))
	C.show()
}
GO
build_go() { # NAME SOURCE WORDS...
  local name=$1 source=$2; shift 2
  HOME=$here go build -o "$here/$name" "$@" "$here/$source" || { echo "$name: does not compile"; faults=$((faults + 1)); }
  scenario "go, $name" run "echo x > in; cp $here/$name p$old" 'timeout 30 ./p'
}
CGO_ENABLED=0 build_go no_note garbage.go -ldflags=-buildid=
CGO_ENABLED=0 build_go moved garbage.go -buildmode=pie
CGO_ENABLED=1 build_go linked_with_c garbage_with_c.go
CGO_ENABLED=1 build_go linked_outside garbage_with_c.go -ldflags=-linkmode=external
CGO_ENABLED=1 build_go itself itself.go
LD_PRELOAD=libm.so.6 scenario 'go, with an LD_PRELOAD of its own' run "cp $here/itself p$old" './p'
finish
