// A log record as a line of text, for whoever wants to know what a step was seen
// to do ($VESTAL_EVENTS names a file that the broker appends to).
#pragma once

#include <string>

#include "broker/session_region.h"

namespace broker {

std::string text_of(const Event& event);

}  // namespace broker
