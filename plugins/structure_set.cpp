#include "plugins/structure_set.h"

#include <algorithm>
#include <utility>

namespace plugins {

void StructureSet::join(std::vector<std::unique_ptr<Structure>>& fresh, std::vector<Structure*>& declared) {
  std::vector<Handle*> handles;
  for (const auto& structure : fresh) handles.push_back(structure->handle());
  for (const auto& structure : all_) structure->bind(nullptr);
  declared.clear();
  for (std::size_t i = 0; i < fresh.size(); ++i) {
    Structure* known = find(*fresh[i]);
    if (known == nullptr) {
      all_.push_back(std::move(fresh[i]));
      known = all_.back().get();
    } else if (!fresh[i]->active().empty()) {
      known->active().merge(fresh[i]->active());  // what was counted while the plugin loaded
    }
    known->bind(handles[i]);
    declared.push_back(known);
  }
  fresh.clear();
  any_retired_ = std::any_of(all_.begin(), all_.end(), [](const auto& s) { return s->handle() == nullptr; });
}

// Of two without a name the first that is not taken yet.
Structure* StructureSet::find(const Structure& wanted) const {
  for (const auto& structure : all_) {
    if (structure->handle() == nullptr && structure->name() == wanted.name() &&
        structure->active().shape() == wanted.active().shape())
      return structure.get();
  }
  return nullptr;
}

std::unique_ptr<Structure> StructureSet::take_retired(double now_ns) noexcept {
  if (!any_retired_) return nullptr;
  for (const auto& structure : all_)
    if (structure->handle() == nullptr) structure->finish(now_ns);
  const auto done = std::find_if(all_.begin(), all_.end(), [](const auto& s) {
    // Of one without a name nothing will be published.
    return s->handle() == nullptr && (s->name().empty() || (s->is_whole() && s->active().empty()));
  });
  if (done == all_.end()) return nullptr;
  std::unique_ptr<Structure> retired = std::move(*done);
  all_.erase(done);
  any_retired_ = std::any_of(all_.begin(), all_.end(), [](const auto& s) { return s->handle() == nullptr; });
  return retired;
}

}  // namespace plugins
