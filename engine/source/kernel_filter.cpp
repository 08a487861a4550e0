#include "engine/source/kernel_filter.h"

#include <utility>

namespace engine {

KernelFilter::KernelFilter(std::string operator_text, const std::vector<std::string>& plugins)
    : operator_(std::move(operator_text)) {
  for (const std::string& text : plugins) plugins_.push_back({text});
}

std::optional<bpf::FilterExpression> KernelFilter::expression() const {
  const std::lock_guard lock(mutex_);
  return joined();
}

std::optional<bpf::FilterExpression> KernelFilter::joined() const {
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

void KernelFilter::apply() {
  if (capture_ != nullptr) capture_->set_filter(joined().value_or(bpf::FilterExpression()));
}

void KernelFilter::set_operator_text(std::string text) {
  const std::lock_guard lock(mutex_);
  std::swap(operator_, text);
  try {
    apply();
  } catch (...) {
    operator_ = std::move(text);
    throw;
  }
}

void KernelFilter::set_plugin_texts(std::size_t plugin, std::vector<std::string> texts) {
  const std::lock_guard lock(mutex_);
  if (plugins_[plugin] == texts) return;
  std::swap(plugins_[plugin], texts);
  try {
    apply();
  } catch (...) {
    plugins_[plugin] = std::move(texts);
    throw;
  }
}

}  // namespace engine
