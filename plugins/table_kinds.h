// How map, set, nets and rate are made of a declaration, their lists included. Set-up threads.
#pragma once

#include "plugins/kinds.h"

namespace plugins {

Made make_distinct(const Declaration& declaration);
Made make_histogram(const Declaration& declaration);
Made make_map(const Declaration& declaration);
Made make_set(const Declaration& declaration);
Made make_nets(const Declaration& declaration);
Made make_rate(const Declaration& declaration);

}  // namespace plugins
