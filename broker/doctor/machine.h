// What vestal wants of the machine.
#pragma once

#include <string>

#include "broker/doctor/finding.h"
#include "broker/doctor/trial_cache.h"

namespace broker::doctor {

Finding check_shared_memory();                         // where session regions lie
Finding check_shim();
Finding check_dynamic_programs(const TrialCache& trial);
Finding check_static_programs(const TrialCache& trial);
Finding check_trees(const TrialCache& trial);          // vestal run --tree, import --verify, _run_tool
Finding check_landlock(const TrialCache& trial);      // vestal make --check
Finding check_shared_blocks(const TrialCache& trial);  // whether files of the cache's file system may have blocks in common

}  // namespace broker::doctor
