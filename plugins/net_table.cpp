#include "plugins/net_table.h"

#include <algorithm>
#include <bit>

namespace plugins {
namespace {

// An entry of by_24_ and by_8_: the tag, the length of the network + 1 (0: none), and whether there are longer ones.
constexpr std::uint32_t kLonger = 0x80;
constexpr std::uint32_t kLengthMask = 0x3f;
constexpr std::uint32_t kMappedBits = 96;  // IPv4 lies at ::ffff:0:0/96 (RFC 4291, section 2.5.5.2)
constexpr std::uint64_t kMapped = 0xffff00000000;
constexpr std::uint32_t kStem4 = kMappedBits + 24;
constexpr std::uint32_t kShort6 = 32;
constexpr std::uint32_t kLong6 = 64;
constexpr std::size_t kHugePages_bytes = 4u << 20;

constexpr std::uint32_t encoded(std::uint32_t tag, std::uint32_t length) { return tag << 8 | (length + 1); }

}  // namespace

NetTable::NetTable() : secret_(HashSecret::draw()), by_24_(allocate_pages<std::uint32_t>(1u << 24)) { reserve(0); }

// At most one mark per network, so twice as many entries as networks; a third of the slots stays free.
void NetTable::reserve(std::uint32_t more) {
  most_nets_ = nets_ + more;
  const std::uint64_t wanted = used_ + 2 * std::uint64_t{more};
  std::uint64_t slots = 64;
  while (2 * slots < 3 * wanted) slots *= 2;
  if (entries_ != nullptr && slots <= mask_ + std::uint64_t{1}) return;
  auto before = std::move(entries_);
  const std::uint32_t before_slots = before != nullptr ? mask_ + 1 : 0;
  entries_ = allocate_pages<Entry>(slots);
  // Looked up all over: with small pages most look-ups would miss the TLB too.
  if (slots * sizeof(Entry) >= kHugePages_bytes) {
    madvise(entries_.get(), slots * sizeof(Entry), MADV_HUGEPAGE);
    madvise(by_24_.get(), (std::size_t{1} << 24) * sizeof(std::uint32_t), MADV_HUGEPAGE);
  }
  mask_ = static_cast<std::uint32_t>(slots - 1);
  for (std::uint32_t i = 0; i < before_slots; ++i) {
    if (before[i].length != 0) entries_[slot_of(before[i].prefix, before[i].length - 1)] = before[i];
  }
}

std::uint32_t NetTable::make_tag(std::string_view text) {
  const auto [at, fresh] = tag_numbers_.try_emplace(std::string(text), static_cast<std::uint32_t>(tags_.size()));
  if (fresh) tags_.push_back(&at->first);
  return at->second;
}

std::int32_t NetTable::find_tag(std::string_view text) const noexcept {
  const auto at = tag_numbers_.find(text);
  return at != tag_numbers_.end() ? static_cast<std::int32_t>(at->second) : -1;
}

NetTable::Prefix NetTable::cut(Prefix prefix, std::uint32_t length) noexcept {
  const auto mask = [](std::uint32_t bits) { return bits == 0 ? 0 : ~std::uint64_t{0} << (64 - bits); };
  return {prefix.hi & mask(std::min(length, 64u)), prefix.lo & mask(std::max(length, 64u) - 64)};
}

// The slot of this prefix, or the free one where it belongs.
std::uint32_t NetTable::slot_of(const Prefix& prefix, std::uint32_t length) const noexcept {
  const std::uint64_t hash = mix(mix(prefix.hi ^ secret_.seed, prefix.lo ^ secret_.odd) ^ length, kOddHash);
  auto slot = static_cast<std::uint32_t>(hash) & mask_;
  for (;; slot = (slot + 1) & mask_) {
    const Entry& entry = entries_[slot];
    if (entry.length == 0) return slot;
    if (entry.length == length + 1 && entry.prefix.hi == prefix.hi && entry.prefix.lo == prefix.lo) return slot;
  }
}

const NetTable::Entry* NetTable::find(const Prefix& address, std::uint32_t length) const noexcept {
  const Entry& entry = entries_[slot_of(cut(address, length), length)];
  return entry.length != 0 ? &entry : nullptr;
}

NetTable::Entry& NetTable::find_or_insert(const Prefix& prefix, std::uint32_t length) noexcept {
  Entry& entry = entries_[slot_of(prefix, length)];
  if (entry.length == 0) {
    entry = {prefix, 0, 0, length + 1};
    ++used_;
  }
  return entry;
}

// The longest network of those that are longer than the stem.
std::uint32_t NetTable::match_longer(const Prefix& address, std::uint32_t stem) const noexcept {
  const Entry* mark = find(address, stem);
  if (mark == nullptr) return 0;
  for (std::uint64_t left = mark->longer; left != 0;) {
    const auto bit = static_cast<std::uint32_t>(63 - std::countl_zero(left));
    const Entry* entry = find(address, stem + 1 + bit);
    if (entry != nullptr && entry->value != 0) return entry->value;
    left &= ~(std::uint64_t{1} << bit);
  }
  return 0;
}

std::uint32_t NetTable::match_4(std::uint32_t address, const Prefix& full) const noexcept {
  std::uint32_t entry = by_24_[address >> 8];
  if ((entry & kLonger) != 0) {
    const std::uint32_t longer = match_longer(full, kStem4);
    if (longer != 0) return longer;
  }
  if ((entry & kLengthMask) == 0) entry = by_8_[address >> 24];
  if ((entry & kLengthMask) == 0) return all_4_;
  return encoded(entry >> 8, kMappedBits + (entry & kLengthMask) - 1);
}

std::uint32_t NetTable::match(const engine_addr& address) const noexcept {
  const Prefix full{__builtin_bswap64(address._hi), __builtin_bswap64(address._lo)};
  if (full.hi == 0 && full.lo >> 32 == kMapped >> 32) return match_4(static_cast<std::uint32_t>(full.lo), full);
  if (beyond_64_) {
    const std::uint32_t longer = match_longer(full, kLong6);
    if (longer != 0) return longer;
  }
  const std::uint32_t longer = match_longer(full, kShort6);
  if (longer != 0) return longer;
  for (std::uint64_t left = short_lengths_; left != 0;) {
    const auto length = static_cast<std::uint32_t>(63 - std::countl_zero(left));
    const Entry* entry = find(full, length);
    if (entry != nullptr && entry->value != 0) return entry->value;
    left &= ~(std::uint64_t{1} << length);
  }
  return 0;
}

// Every entry that belongs to no longer network gets this one.
void NetTable::fill_4(std::uint32_t first, std::uint32_t length, std::uint32_t tag) noexcept {
  std::uint32_t* table = length <= 8 ? by_8_ : by_24_.get();
  const std::uint32_t bits = length <= 8 ? 8 : 24;
  std::uint32_t* at = table + (first >> (32 - bits));
  for (std::uint32_t i = 0; i < 1u << (bits - length); ++i) {
    if ((at[i] & kLengthMask) <= length + 1) at[i] = tag << 8 | (at[i] & kLonger) | (length + 1);
  }
}

NetTable::Added NetTable::add(const engine_addr& net, std::uint32_t length, std::uint32_t tag) noexcept {
  const Prefix prefix = cut({__builtin_bswap64(net._hi), __builtin_bswap64(net._lo)}, length);
  const Entry* known = find(prefix, length);
  if (known != nullptr && known->value != 0) return Added::known;
  if (nets_ == most_nets_) {
    if (part_ != nullptr) ++part_->refused;
    return Added::refused;
  }
  ++nets_;
  if (part_ != nullptr) ++part_->added;
  const std::uint32_t value = encoded(tag, length);
  find_or_insert(prefix, length).value = value;
  if (length >= kMappedBits && prefix.hi == 0 && prefix.lo >> 32 == kMapped >> 32) {
    const auto first = static_cast<std::uint32_t>(prefix.lo);
    if (length == kMappedBits) {
      all_4_ = value;
    } else if (length <= kStem4) {
      fill_4(first, length - kMappedBits, tag);
    } else {
      find_or_insert(cut(prefix, kStem4), kStem4).longer |= std::uint64_t{1} << (length - kStem4 - 1);
      by_24_[first >> 8] |= kLonger;
    }
    return Added::fresh;
  }
  // An IPv6 network may contain all of IPv4: ::/0 does.
  const Prefix mapped = cut({0, kMapped}, length);
  if (length < kMappedBits && mapped.hi == prefix.hi && mapped.lo == prefix.lo && value % 256 > all_4_ % 256) {
    all_4_ = value;
  }
  if (length <= kShort6) {
    short_lengths_ |= std::uint64_t{1} << length;
  } else {
    const std::uint32_t stem = length <= kLong6 ? kShort6 : kLong6;
    find_or_insert(cut(prefix, stem), stem).longer |= std::uint64_t{1} << (length - stem - 1);
    beyond_64_ |= length > kLong6;
  }
  return Added::fresh;
}

}  // namespace plugins
