// A plugin's structures on one worker, over the lives of its states: a state that takes another's place goes on with
// what is there, as far as it declares the same. Worker's thread; made and ended by the one that owns the worker.
#pragma once

#include <memory>
#include <vector>

#include "plugins/structure.h"

namespace plugins {

class StructureSet {
 public:
  // Takes in what a state has declared, and puts into `declared` what it has to fill: the same structure where this set
  // has one of that name and shape, else the new one, which stays here. Those that it did not declare retire.
  void join(std::vector<std::unique_ptr<Structure>>& fresh, std::vector<Structure*>& declared);

  const std::vector<std::unique_ptr<Structure>>& all() const noexcept { return all_; }

  // Before an interval ends, of those that no state fills any more: what their tables hold goes to their parts; one
  // whose content has all been published is taken out.
  std::unique_ptr<Structure> take_retired(double now_ns) noexcept;

 private:
  Structure* find(const Structure& wanted) const;

  std::vector<std::unique_ptr<Structure>> all_;
  bool any_retired_ = false;
};

}  // namespace plugins
