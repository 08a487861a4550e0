// What the kernel hands over while the run goes on: the operator's filter, which can be changed, and those of the
// plugins, which a reload can change. Any thread; the ports see one change at a time.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "bpf/filter.h"
#include "engine/capture.h"

namespace engine {

class KernelFilter {
 public:
  enum class Plugins { decide, all_is_wanted };  // all: --write takes what no plugin wants, too
  KernelFilter(std::string operator_text, const std::vector<std::string>& plugins, Plugins say = Plugins::decide);

  // As it stands; nothing: everything.
  std::optional<bpf::FilterExpression> expression() const;
  // From here on changes go to the capture's ports.
  void begin(Capture& capture) noexcept { capture_ = &capture; }

  std::string operator_text() const;

  // Throws SetupError; the old filter then stays. Needs CAP_BPF.
  void set_operator_text(std::string text);
  // Those of one plugin: two while some workers have the old and others the new one, so that none misses packets.
  void set_plugin_texts(std::size_t plugin, std::vector<std::string> texts);
  // The stages before the filter, as the capture's request adds them now. Throws SetupError; the old ones then stay.
  void change_stages();

 private:
  std::optional<bpf::FilterExpression> joined() const;
  template <class Text>
  void exchange(Text& now, Text next);

  mutable std::mutex mutex_;
  Capture* capture_ = nullptr;
  std::string operator_;
  Plugins say_;
  std::vector<std::vector<std::string>> plugins_;
};

}  // namespace engine
