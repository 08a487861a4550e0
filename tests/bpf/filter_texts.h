// Texts in tcpdump's language for the tests: chosen ones and random ones.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bpf_test {

// One of each kind of term, some joined. Nearly all match some of random_frame()'s frames and not others.
const std::vector<const char*>& filter_texts();

// Any source of numbers: a generator, or a fuzzer's bytes.
using Dice = std::function<std::uint64_t()>;

// Terms of that list and random ones, joined by and, or, not. Some make no sense to libpcap, such as `ip and ip6`
// ("rejects all packets"). `depth`: 2^depth terms.
std::string random_text(const Dice& dice, int depth);

}  // namespace bpf_test
