#!/bin/bash
# What is built for users has no places that can be made to fail (cache/base/failpoint.h).
case $BUILD in */failpoints) echo 'this build is meant to have them'; exit 77 ;; esac
for file in "$VESTAL" "$BUILD/lib/vestal/libvestal_shim.so"; do
  # That the search finds what is there.
  grep -qaF VESTAL_REGION "$file" || { echo "$file: cannot be searched"; exit 1; }
  ! grep -qaF VESTAL_FAILPOINT "$file" || { echo "$file has places that can be made to fail"; exit 1; }
done
