# vestal: one Makefile for the whole tree. `make help` lists what it can do.
#
# Names a user may set:  CXX CXXFLAGS CPPFLAGS LDFLAGS  (flags are added to ours)
#                        prefix DESTDIR  O (build folder)  V=1 (show commands)  PACKAGES=have (skip the package check)
#                        SAN=address,undefined or SAN=thread (all but the shim with sanitizers, in a folder of its own)
#                        FAILPOINTS=1 (with places that a test can make fail, see cache/base/failpoint.h; in a folder of its own)
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
# The three commands a newcomer types use every processor; a -j of the user's own goes first.
ifeq ($(MAKELEVEL),0)
ifneq ($(filter check demo bench compare,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
endif
endif

comma := ,
O ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))$(if $(FAILPOINTS),/failpoints)
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-6s %s\n' $(1) $(2);)

prefix ?= /usr/local
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
# vestal looks for ../lib/vestal from its own real path, so the shim's place follows from bindir.
shimdir = $(patsubst %/,%,$(dir $(bindir)))/lib/vestal
# And for ../share/vestal, the models that models import from /vestal.
modeldir = $(patsubst %/,%,$(dir $(bindir)))/share/vestal/sdl
datadir ?= $(prefix)/share
mandir ?= $(datadir)/man
bash_dir = $(datadir)/bash-completion/completions
fish_dir = $(datadir)/fish/vendor_completions.d
# What Debian's zsh looks into: the second is for what administrators have built.
zsh_dir = $(datadir)/zsh/$(if $(filter /usr,$(prefix)),vendor-completions,site-functions)
INSTALL ?= install
STRIP ?= strip

ifeq ($(origin CXX),default)
CXX := g++
endif

.DEFAULT_GOAL := all
.PHONY: all check check-unit soak bench compare demo format tidy install install-strip uninstall deb clean help packages force

# ---- what is built from what -----------------------------------------------------------------------------------

cache_sources  := $(sort $(wildcard cache/*.cc cache/base/*.cc))
broker_sources := $(sort $(wildcard broker/*.cc broker/images/*.cc broker/tree/*.cc broker/sandbox/*.cc broker/report/*.cc broker/doctor/*.cc))
# The language is a library too, for what tests it without a command line.
sdl_sources    := $(sort $(filter-out sdl/%_command.cc,$(wildcard sdl/*.cc)))
face_sources   := $(sort $(wildcard makecompat/*.cc crude-import/*.cc sdl/tools/*.cc sdl/*_command.cc broker/cli/*.cc))
shim_sources   := $(sort $(wildcard preload/*.cc preload/*.S))
test_sources   := $(sort $(shell find tests -name '*.cc' -not -path 'tests/bench/*' -not -path 'tests/fuzz/*' -not -path 'tests/end_to_end/*' -not -path 'tests/random/*'))
random_sources := $(sort $(wildcard tests/random/*.cc))
bench_sources  := $(sort $(wildcard tests/bench/*.cc))
fuzz_sources   := $(sort $(wildcard tests/fuzz/*.cc))

object = $(patsubst %,$(O)/obj/%.o,$(1))
cache_objects  := $(call object,$(cache_sources))
broker_objects := $(call object,$(broker_sources))
sdl_objects    := $(call object,$(sdl_sources))
face_objects   := $(call object,$(face_sources))
shim_objects   := $(call object,$(shim_sources))
test_objects   := $(call object,$(test_sources))
bench_objects  := $(call object,$(bench_sources))
random_objects := $(call object,$(random_sources))
fuzz_objects   := $(call object,$(fuzz_sources))
fmt_object     := $(call object,scripts/fmt_library.cc $(if $(SAN),scripts/sanitizer_options.cc))
# The client becomes the command with the shim's own exec code; only what starts the shim in a process stays out.
client_objects := $(filter-out $(call object,preload/shim_start.cc preload/static_start.cc preload/static_entry.S preload/trap.cc preload/trap_entry.S preload/own_stacks.cc),$(shim_objects))
host_objects   := $(cache_objects) $(broker_objects) $(sdl_objects) $(face_objects) $(test_objects) $(bench_objects) $(random_objects) $(fuzz_objects) $(fmt_object)
all_objects    := $(host_objects) $(shim_objects)

vestal := $(O)/bin/vestal
shim   := $(O)/lib/vestal/libvestal_shim.so
# Completions and manual pages are made of what the program says about itself.
completions := $(addprefix $(O)/share/,bash-completion/completions/vestal zsh/site-functions/_vestal fish/vendor_completions.d/vestal.fish)
page_names := vestal $(addprefix vestal-,build cache component config doctor gc help import log make policy run sdl stats tree why)
pages := $(page_names:%=$(O)/share/man/man1/%.1)
version := $(shell sed -n 's/.*char version\[\] = "\(.*\)".*/\1/p' broker/cli/help.h)
release_date := 2026-12-01
models := $(patsubst sdl/lib/%,$(O)/share/vestal/sdl/%,$(sort $(wildcard sdl/lib/*.ves)))
libraries := $(O)/libsdl.a $(O)/libbroker.a $(O)/libcache.a
unit_tests := $(O)/tests/unit_tests
random_builder := $(O)/tests/random_builder
bench_programs := $(patsubst tests/bench/%.cc,$(O)/bench/%,$(bench_sources))

programs := $(if $(face_sources),$(vestal)) $(if $(shim_sources),$(shim))
all: $(libraries) $(programs) $(models) $(completions) $(pages)

# ---- how -------------------------------------------------------------------------------------------------------

# Start-up time is paid by every `vestal` command: one program at a fixed address with its libraries inside starts as
# fast as `true`; the same with shared libraries takes four times as long. libc stays shared.
own_cppflags := -I. -D_GNU_SOURCE
own_cxxflags := -std=c++20 -O2 -g -Wall -Wextra -fno-pie -ffunction-sections
own_ldflags  := -no-pie -static-libstdc++ -static-libgcc -Wl,--as-needed -Wl,--gc-sections -Wl,-z,lazy -Wl,--hash-style=gnu

# The shim lives in other people's processes: nothing of libc, no vector registers, nothing done at start but one call.
shim_cxxflags := -std=c++20 -O2 -g -Wall -Wextra -fPIC -ffreestanding -fno-exceptions -fno-rtti -fno-stack-protector \
  -mgeneral-regs-only -fno-threadsafe-statics -fno-tree-loop-distribute-patterns -fvisibility=hidden \
  -fasynchronous-unwind-tables -fcf-protection=none -U_FORTIFY_SOURCE
shim_map := $(wildcard preload/exports.map)
shim_ldflags := -shared -nostdlib -nostartfiles -Wl,-z,defs -Wl,-z,initfirst -Wl,-z,noseparate-code -Wl,-z,norelro \
  -Wl,-Bsymbolic -Wl,--hash-style=gnu -Wl,--build-id -Wl,-soname,libvestal_shim.so -Wl,-e,vestal_static_table $(addprefix -Wl$(comma)--version-script=,$(shim_map))

# A sanitizer's runtime is inside the program, for a program that runs in a session has the shim in front of all shared
# libraries. Whatever it finds goes to a file, for the broker's standard error is nobody's; see scripts/check.sh.
ifneq ($(SAN),)
own_cppflags += -DSANITIZER_LOG='"$(abspath $(O))/sanitizer.log"'
own_cxxflags += -O1 -fsanitize=$(SAN) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
own_ldflags  += -fsanitize=$(SAN) $(patsubst %,-static-lib%,$(subst undefined,ubsan,$(subst thread,tsan,$(subst address,asan,$(subst $(comma), ,$(SAN))))))
endif

ifneq ($(FAILPOINTS),)
own_cppflags += -DVESTAL_FAILPOINTS
endif

# Asked only when something is compiled or linked, for pkg-config may be one of the packages still to come.
pkg = $(shell pkg-config $(1) 2>/dev/null)
library_cflags = $(eval library_cflags := $(call pkg,--cflags capstone libcrypto))$(library_cflags)
archive = $(if $(wildcard $(addsuffix /lib$(1).a,/usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib /usr/local/lib)),-l:lib$(1).a,$(2))
library_libs = $(eval library_libs := \
  $(call archive,leveldb,-lleveldb) $(call archive,snappy,-lsnappy) \
  $(call archive,capstone,$(or $(call pkg,--libs capstone),-lcapstone)) \
  $(call archive,archive,-larchive) $(call archive,zstd,-lzstd) \
  $(call archive,crypto,$(or $(call pkg,--libs libcrypto),-lcrypto)) -lpthread -lrt)$(library_libs)

host_compile = $(CXX) $(own_cppflags) $(library_cflags) $(CPPFLAGS) $(own_cxxflags) $(CXXFLAGS)
shim_compile = $(CXX) -I. $(CPPFLAGS) $(shim_cxxflags)
host_link = $(CXX) $(own_ldflags) $(LDFLAGS)

# What the user's flags were last time, so that other flags mean another build.
$(O)/flags: force
	$(Q)mkdir -p $(@D); flags='$(CXX) $(SAN) $(FAILPOINTS) $(CPPFLAGS) $(CXXFLAGS) $(LDFLAGS)'; \
	  [ "$$flags" = "$$(cat $@ 2>/dev/null)" ] || printf '%s\n' "$$flags" >$@

# Missing packages are installed for check, demo and bench; a plain make only names them.
package_lists := $(sort build $(patsubst compare,bench,$(filter check demo bench compare deb,$(MAKECMDGOALS))))
packages:
ifneq ($(PACKAGES),have)
	@scripts/install-packages.sh $(if $(filter check demo bench compare deb,$(MAKECMDGOALS)),,--only-check) $(package_lists)
endif

$(all_objects): $(O)/flags Makefile | packages

$(host_objects): $(O)/obj/%.o: %
	$(call say,CXX,$<)mkdir -p $(@D) && $(host_compile) -MMD -MP -c -o $@ $<

# The assembler reads it, so the compiler does not tell of it.
$(call object,broker/policy_data.cc): broker/policy.toml
$(call object,broker/report/page_data.cc): broker/report/page.css broker/report/page.js

$(shim_objects): $(O)/obj/%.o: %
	$(call say,SHIM,$<)mkdir -p $(@D) && $(shim_compile) -MMD -MP -c -o $@ $<

$(O)/libcache.a: $(cache_objects)
$(O)/libbroker.a: $(broker_objects)
$(O)/libsdl.a: $(sdl_objects)
# Made anew each time, so that an object whose source is gone does not stay inside.
$(libraries):
	$(call say,AR,$@)rm -f $@ && ar rcsD $@ $(filter %.o,$^)

$(vestal): $(face_objects) $(client_objects) $(libraries) $(fmt_object)
	$(call say,LINK,$@)mkdir -p $(@D) && $(host_link) -o $@ $(filter %.o,$^) $(libraries) $(library_libs)

$(shim): $(shim_objects) $(shim_map)
	$(call say,LINK,$@)mkdir -p $(@D) && $(CXX) $(shim_ldflags) -o $@ $(filter %.o,$^)

$(models): $(O)/share/vestal/sdl/%: sdl/lib/%
	$(call say,COPY,$@)mkdir -p $(@D) && cp $< $@
$(vestal): | $(models)

# Rows that have changed make them anew.
$(O)/options.table: $(vestal)
	$(Q)$(vestal) help --table >$@.new && { cmp -s $@.new $@ && rm $@.new || mv $@.new $@; }
$(O)/share/bash-completion/completions/vestal: scripts/completion/vestal.bash
$(O)/share/zsh/site-functions/_vestal: scripts/completion/vestal.zsh
$(O)/share/fish/vendor_completions.d/vestal.fish: scripts/completion/vestal.fish
$(completions): $(O)/options.table scripts/completion/with_table.sh
	$(call say,MAKE,$@)mkdir -p $(@D) && scripts/completion/with_table.sh $(filter scripts/completion/vestal.%,$^) $< >$@

$(pages): $(O)/share/man/man1/%.1: $(O)/options.table scripts/manual.awk $(wildcard docs/man/*.roff)
	$(call say,MAKE,$@)mkdir -p $(@D) && awk -f scripts/manual.awk -v of=$(or $(patsubst vestal-%,%,$(filter vestal-%,$*)),vestal) \
	  -v date=$(release_date) -v version=$(version) -v by_hand=docs/man/$*.roff $< >$@

# A face's main() is the one in broker/cli; the tests bring their own.
face_library_objects := $(call object,$(filter-out broker/cli/main.cc,$(face_sources)))
$(unit_tests): $(test_objects) $(face_library_objects) $(client_objects) $(libraries) $(fmt_object)
	$(call say,LINK,$@)mkdir -p $(@D) && $(host_link) -o $@ $(filter %.o,$^) $(libraries) $(library_libs)

$(bench_programs): $(O)/bench/%: $(O)/obj/tests/bench/%.cc.o
	$(call say,LINK,$@)mkdir -p $(@D) && $(CXX) $(LDFLAGS) -no-pie -o $@ $<

$(random_builder): $(random_objects)
	$(call say,LINK,$@)mkdir -p $(@D) && $(host_link) -o $@ $^ -lpthread

# Fuzz targets, each twice: with a main of our own that replays inputs, and, if clang is there, with libFuzzer and with
# what it tests compiled for it.
fuzz_names := $(patsubst tests/fuzz/%.cc,%,$(filter-out tests/fuzz/replay.cc,$(fuzz_sources)))
fuzz_replays := $(fuzz_names:%=$(O)/fuzz/%-replay)
$(fuzz_replays): $(O)/fuzz/%-replay: $(O)/obj/tests/fuzz/%.cc.o $(O)/obj/tests/fuzz/replay.cc.o $(libraries) $(fmt_object)
	$(call say,LINK,$@)mkdir -p $(@D) && $(host_link) -o $@ $(filter %.o,$^) $(libraries) $(library_libs)

FUZZ_CXX ?= clang++-14
fuzzers := $(fuzz_names:%=$(O)/fuzz/%)
fuzzed_sources := $(cache_sources) $(sdl_sources) $(wildcard broker/images/*.cc) $(wildcard $(addprefix broker/,$(addsuffix .cc, \
  log_reader event_text view path_table control explain program_table program_findings program_evidence program_search wanted_calls_table))) scripts/fmt_library.cc
fuzzed_objects := $(patsubst %,$(O)/fuzz/obj/%.o,$(fuzzed_sources))
fuzz_compile = $(FUZZ_CXX) $(own_cppflags) $(library_cflags) -std=c++20 -O1 -g -fno-omit-frame-pointer
$(fuzzed_objects): $(O)/fuzz/obj/%.o: % Makefile
	$(call say,FUZZ,$<)mkdir -p $(@D) && $(fuzz_compile) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -MMD -MP -c -o $@ $<
$(fuzzers): $(O)/fuzz/%: tests/fuzz/%.cc $(fuzzed_objects)
	$(call say,FUZZ,$@)mkdir -p $(@D) && $(fuzz_compile) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -o $@ $< $(fuzzed_objects) $(library_libs)

-include $(all_objects:.o=.d) $(fuzzed_objects:.o=.d)

# ---- what can be done with it ----------------------------------------------------------------------------------

check: all $(unit_tests) $(random_builder) $(fuzz_replays)
	@O='$(abspath $(O))' CXX='$(CXX)' scripts/check.sh

# What takes too long for every day: each part is `make check` of another build.
.PHONY: check-sanitizers check-threads check-failpoints kernel-check fuzz
check-sanitizers:
	$(MAKE) SAN=address,undefined check
	$(MAKE) SAN=thread check-threads

# In one process, threads play shims; the tests that do not only run other programs.
check-threads: $(unit_tests)
	$(Q)rm -f $(O)/sanitizer.log.*
	$(Q)$(unit_tests) -\# '[\#session_region_test],[\#control_test],[\#blob_store_test],[\#step_cache_test],[\#file_memo_test],[\#explain_test],[\#record_test],[\#value_test],[\#parallel_test],[\#call_cache_test],[\#running_calls_test]'
	@! cat $(O)/sanitizer.log.* 2>/dev/null

check-failpoints:
	$(MAKE) FAILPOINTS=1 all
	@CHECK_SECONDS=3600 O='$(abspath build/failpoints)' scripts/check.sh 'failpoints/*'

kernel-check: all
	@CHECK_SECONDS=3600 O='$(abspath $(O))' scripts/check.sh 'kernel/*'

FUZZ_SECONDS ?= 60
fuzz: all $(fuzz_replays) $(fuzzers)
	@CHECK_SECONDS=$$((300 + $(words $(fuzz_names)) * $(FUZZ_SECONDS))) FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_FOUND='$(abspath tests/fuzz/found)' O='$(abspath $(O))' scripts/check.sh 'fuzz/*'

check-unit: $(unit_tests)
	$(Q)$(unit_tests)

# Builds made up at random, plain and with vestal, undisturbed and with each nemesis: SEEDS of each, from FIRST on.
SEEDS ?= 1000
FIRST ?= 1
# A full disk has to be mounted.
nemeses ?= kill-broker kill-step two-builds flip-byte clock-jump $(if $(filter 0,$(shell id -u)),full-disk)
soak: all $(random_builder)
	$(Q)status=0; last=$$(($(FIRST) + $(SEEDS) - 1)); \
	for nemesis in none $(nemeses); do echo "$$nemesis:"; \
	  VESTAL='$(abspath $(vestal))' $(random_builder) --seeds $(FIRST)..$$last \
	    $$([ $$nemesis = none ] && echo '--hits 5' || echo "--nemesis $$nemesis") || status=1; \
	done; exit $$status

bench: all $(bench_programs)
	@O='$(abspath $(O))' tests/bench/run

compare: all
	@O='$(abspath $(O))' tests/bench/compare

demo: all
	@O='$(abspath $(O))' scripts/demo.sh

own_files = $(shell find broker cache preload makecompat crude-import sdl tests scripts -name '*.cc' -o -name '*.h')
format:
	$(Q)clang-format -i $(own_files)

tidy:
	$(Q)clang-tidy --quiet $(cache_sources) $(broker_sources) $(sdl_sources) $(face_sources) -- $(own_cppflags) $(library_cflags) -std=c++20
	$(Q)clang-tidy --quiet $(filter %.cc,$(shim_sources)) -- -I. -std=c++20 -ffreestanding -fno-exceptions -fno-rtti

install: all
	$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(shimdir)' '$(DESTDIR)$(modeldir)'
	$(INSTALL) -m 755 $(vestal) '$(DESTDIR)$(bindir)/vestal'
	$(INSTALL) -m 644 $(shim) '$(DESTDIR)$(shimdir)/libvestal_shim.so'
	$(INSTALL) -m 644 $(models) '$(DESTDIR)$(modeldir)'
	$(INSTALL) -d '$(DESTDIR)$(bash_dir)' '$(DESTDIR)$(zsh_dir)' '$(DESTDIR)$(fish_dir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL) -m 644 $(filter %/completions/vestal,$(completions)) '$(DESTDIR)$(bash_dir)/vestal'
	$(INSTALL) -m 644 $(filter %/_vestal,$(completions)) '$(DESTDIR)$(zsh_dir)/_vestal'
	$(INSTALL) -m 644 $(filter %.fish,$(completions)) '$(DESTDIR)$(fish_dir)/vestal.fish'
	for page in $(page_names); do gzip -9nc $(O)/share/man/man1/$$page.1 >'$(DESTDIR)$(mandir)/man1/'$$page.1.gz && chmod 644 '$(DESTDIR)$(mandir)/man1/'$$page.1.gz || exit; done

# Without debugging information, as packages do: of the program that is five sixths.
install-strip: install
	$(STRIP) '$(DESTDIR)$(bindir)/vestal'
	$(STRIP) --strip-unneeded '$(DESTDIR)$(shimdir)/libvestal_shim.so'

uninstall:
	rm -f '$(DESTDIR)$(bindir)/vestal' '$(DESTDIR)$(shimdir)/libvestal_shim.so'
	rm -f $(patsubst $(O)/share/vestal/sdl/%,'$(DESTDIR)$(modeldir)/%',$(models))
	rm -f '$(DESTDIR)$(bash_dir)/vestal' '$(DESTDIR)$(zsh_dir)/_vestal' '$(DESTDIR)$(fish_dir)/vestal.fish'
	rm -f $(patsubst %,'$(DESTDIR)$(mandir)/man1/%.1.gz',$(page_names))
	-rmdir '$(DESTDIR)$(shimdir)' '$(DESTDIR)$(modeldir)' '$(DESTDIR)$(patsubst %/,%,$(dir $(modeldir)))' 2>/dev/null

# A Debian package; DEB_FLAGS are dpkg-deb's.
deb: all
	@MAKE='$(MAKE)' scripts/debian/make-deb.sh '$(O)' '$(or $(deb_dir),$(O))' $(version) $(release_date) $(DEB_FLAGS)

clean:
	rm -rf '$(O)'

help:
	@printf '%s\n' \
	  'make            build $(O)/bin/vestal, which works in place' \
	  'make check      unit tests, end-to-end tests and checks of the tree; installs missing Debian packages' \
	  'make soak       builds made up at random, plain and with vestal, which must do the same (SEEDS, FIRST)' \
	  'make check-sanitizers, check-failpoints, kernel-check, fuzz (FUZZ_SECONDS)   longer checks, see docs/reliability.md' \
	  'make demo       build and show vestal on lua, with proof that the objects are identical; installs packages too' \
	  'make bench      measure against plain make and ccache (BENCH_ROWS, REPS; see tests/bench/run); installs too' \
	  'make compare    build real sources plain and under vestal, phase by phase, and compare the trees; installs too' \
	  'make install    into $$(DESTDIR)$$(prefix), default /usr/local;  make uninstall' \
	  'make install-strip   the same without debugging information: 11 MB in place of 68; what is usual for a package' \
	  'make deb        a Debian package, in $(O)' \
	  'make format     clang-format every source        make tidy    clang-tidy' \
	  'make clean      remove $(O)' \
	  'Variables: CXX CXXFLAGS CPPFLAGS LDFLAGS prefix DESTDIR O V=1 PACKAGES=have'
