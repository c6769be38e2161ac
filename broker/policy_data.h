// The shipped policy table, inside the program: found whatever lies where.
#pragma once

extern "C" const char vestal_policy_toml[];
