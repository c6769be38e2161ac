// A cache's steps in one file, to be carried to another cache: a tar archive, by itself or compressed with zstd.
//
//   vestal-cache.json   format, versions, the key of fingerprints, how much there is, the digest of the rows
//   rows                broker/row_file.h
//   blobs/ab/cdef...    each of the contents that the rows' results name, once, by its SHA-256
//
// in this order. Values of variables stand in rows as fingerprints with the cache's key, which cannot be turned into those of another
// key. So an archive has the key with it; a cache that is empty takes it on, and one that has another key and results of its own refuses.
//
// Only its .cc knows libarchive.
#pragma once

#include <cstdint>
#include <string>

#include "cache/base/result.h"

namespace broker {

struct Carried {
  std::uint64_t results = 0;  // in the archive
  std::uint64_t new_results = 0, new_blobs = 0;  // of an import
  std::uint64_t blobs = 0, bytes = 0;
};

// `file`: a path, replaced when all is written, or "-" for standard output.
cache::Result<Carried> export_cache(const std::string& cache_directory, const std::string& file, bool compressed);
// "-" for standard input. Everything is looked at before it is taken; after an Error nothing has been. Fault::invalid: it is the archive that is wrong.
cache::Result<Carried> import_cache(const std::string& cache_directory, const std::string& file);

}  // namespace broker
