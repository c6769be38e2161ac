// broker/report/page.css and page.js, as they were when vestal was built, each ended by a zero.
#include "broker/report/page_data.h"

asm(R"(
    .section .rodata
    .global vestal_report_css
    .type vestal_report_css, @object
vestal_report_css:
    .incbin "broker/report/page.css"
    .byte 0
    .size vestal_report_css, . - vestal_report_css
    .global vestal_report_js
    .type vestal_report_js, @object
vestal_report_js:
    .incbin "broker/report/page.js"
    .byte 0
    .size vestal_report_js, . - vestal_report_js
    .text
)");
