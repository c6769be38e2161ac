// Style and script of the page, inside the program.
#pragma once

extern "C" const char vestal_report_css[];
extern "C" const char vestal_report_js[];
