#include "engine/source/kernel_filter.h"

#include <utility>

namespace engine {

KernelFilter::KernelFilter(std::string operator_text, const std::vector<std::string>& plugins, Plugins say)
    : operator_(std::move(operator_text)), say_(say) {
  for (const std::string& text : plugins) plugins_.push_back({text});
}

std::optional<bpf::FilterExpression> KernelFilter::expression() const {
  const std::lock_guard lock(mutex_);
  return joined();
}

std::optional<bpf::FilterExpression> KernelFilter::joined() const {
  if (say_ == Plugins::all_is_wanted) return bpf::kernel_filter(operator_, {});
  std::vector<std::string> all;
  for (const auto& texts : plugins_) all.insert(all.end(), texts.begin(), texts.end());
  return bpf::kernel_filter(operator_, all);
}

std::string KernelFilter::operator_text() const {
  const std::lock_guard lock(mutex_);
  return operator_;
}

void KernelFilter::change_stages() {
  const std::lock_guard lock(mutex_);
  if (capture_ != nullptr) capture_->change_stages();
}

// With the lock. What is refused is as if it had not been asked for.
template <class Text>
void KernelFilter::exchange(Text& now, Text next) {
  std::swap(now, next);
  try {
    if (capture_ != nullptr) capture_->set_filter(joined().value_or(bpf::FilterExpression()));
  } catch (...) {
    now = std::move(next);
    throw;
  }
}

void KernelFilter::set_operator_text(std::string text) {
  const std::lock_guard lock(mutex_);
  exchange(operator_, std::move(text));
}

void KernelFilter::set_plugin_texts(std::size_t plugin, std::vector<std::string> texts) {
  const std::lock_guard lock(mutex_);
  if (plugins_[plugin] != texts) exchange(plugins_[plugin], std::move(texts));
}

}  // namespace engine
