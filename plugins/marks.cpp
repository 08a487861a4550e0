#include "plugins/marks.h"

#include <cstring>

#include "plugins/capture_native.h"
#include "plugins/native.h"
#include "plugins/utf8.h"

namespace plugins {
namespace {

// The length of the character that begins there: 0 if it is none that a comment may hold. Control characters but tab
// and line feed are none, for the sake of terminals that comments are shown on.
std::size_t character_bytes(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if ((first < 0x20 && first != '\t' && first != '\n') || first == 0x7f) return 0;
  return utf8_length(text);
}

}  // namespace

void Marks::comment(std::size_t packet, std::uint32_t plugin, std::string_view text) noexcept {
  if (packet >= packets_ || text.empty()) return;
  std::uint16_t* link = &first_[packet];
  while (*link != kNone) {
    if (comments_[*link].plugin == plugin) return;
    link = &comments_[*link].next;
  }
  if (used_comments_ == kComments || kText_bytes - used_text_ < kComment_bytes) {
    ++cut_;
    return;
  }
  char* const to = text_.data() + used_text_;
  std::size_t length = 0;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    const std::size_t written = bytes != 0 ? bytes : kReplacementCharacter.size();
    if (length + written > kComment_bytes) {
      ++cut_;
      break;
    }
    std::memcpy(to + length, bytes != 0 ? text.data() : kReplacementCharacter.data(), written);
    length += written;
    text.remove_prefix(bytes != 0 ? bytes : 1);
  }
  comments_[used_comments_] = {plugin, used_text_, static_cast<std::uint16_t>(length), kNone};
  *link = used_comments_++;
  used_text_ += static_cast<std::uint32_t>(length);
}

void Marks::forget() noexcept {
  marked_.reset();
  first_ = {};
  used_comments_ = 0;
  used_text_ = 0;
}

namespace {

// Where the packet lies in the array that batches are decoded into: a kept one can be of another batch, a trusted
// plugin's own of none. False, counted: it is not written.
bool capture(engine_binding* binding, const engine_packet* packet, const char* text, std::uint32_t length) noexcept {
  auto* const marks = reinterpret_cast<Marks*>(binding->marks);
  const std::uintptr_t from_first =
      reinterpret_cast<std::uintptr_t>(packet) - reinterpret_cast<std::uintptr_t>(binding->packets);
  const std::size_t place = from_first / sizeof(engine_packet);
  if (marks == nullptr || !marks->mark(place)) {
    ++binding->capture_refused;
    return false;
  }
  marks->comment(place, binding->plugin, {text, length});
  return true;
}

}  // namespace

const engine_capture_natives& capture_natives() noexcept {
  static constexpr engine_capture_natives table = {capture};
  return table;
}

}  // namespace plugins
