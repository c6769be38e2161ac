// broker/policy.toml, as it was when vestal was built, ended by a zero.
#include "broker/policy_data.h"

asm(R"(
    .section .rodata
    .global vestal_policy_toml
    .type vestal_policy_toml, @object
vestal_policy_toml:
    .incbin "broker/policy.toml"
    .byte 0
    .size vestal_policy_toml, . - vestal_policy_toml
    .text
)");
