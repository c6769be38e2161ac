# GNU hello's configure script: thousands of processes, most of them tiny. Nothing to compile in parallel.
package=hello
compiler=gcc
build() { contestant ./configure --disable-dependency-tracking ${launcher:+CC="$launcher $compiler"}; }
clean() { rm -f config.status config.cache config.log config.h Makefile po/Makefile; }
phases='first warm'
