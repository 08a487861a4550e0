// Tables over a change of states: the new state goes on with the tables of the old one as far as it declares the same.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "plugins/structure_set.h"
#include "tests/plugins/lab.h"

namespace {

// Two states of a plugin, one after the other, whose structures stay.
struct Successors {
  plugins::StructureSet kept;
  lab::Lab first, second;

  void run(std::string_view before, std::string_view after) {
    first.load(before);
    first.state->join(kept);
    first.run();
    first.state.reset();
    second.load(after);
    second.state->join(kept);
    second.run();
    const auto messages = second.messages();
    EXPECT_EQ(second.state->statistics().errors, 0u) << (messages.empty() ? "" : messages[0].text());
  }
};

TEST(Reload, GoesOnWithTheEntriesOfAMap) {
  const std::string map =
      "local m = engine.map{ key = 'src', ttl = 60, fields = { { 'n', 'u64' }, { 'name', 'string', 8 } } } ";
  Successors pair;
  pair.run(map + "function on_packet(p) local e = m:put(p) e.n, e.name = 7, 'old' end",
           map + "function on_packet(p) local e, new = m:put(p) assert(not new and e.name == 'old' and e.n == 7) end");
}

TEST(Reload, BeginsAnewWhereTheFieldsAreOthers) {
  Successors pair;
  pair.run(
      "local m = engine.map{ key = 'src', fields = { { 'n', 'u64' } } } function on_packet(p) m:put(p).n = 7 end",
      "local m = engine.map{ key = 'src', fields = { { 'name', 'string', 500 }, { 'n', 'u8' } } } local seen = {}\n"
      "function on_packet(p) local e, new = m:put(p) assert(new == not seen[p.src4])\n"
      "seen[p.src4] = true e.name = ('x'):rep(500) assert(#e.name == 500 and e.n == 0) end");
}

TEST(Reload, TakesTheListThatItIsGiven) {
  Successors pair;
  pair.run(
      "local s, n = engine.set{ key = 'ip', items = { '10.0.0.1' } }, engine.nets{ items = { ['10.0.0.0/8'] = 'a' } }\n"
      "function on_packet(p) assert(s:has(ip'10.0.0.1') and n:match(p.src) == 'a') end",
      "local s, n = engine.set{ key = 'ip', items = { '10.0.0.2' } }, engine.nets{ items = { ['10.0.0.0/8'] = 'b' } }\n"
      "function on_packet(p) assert(s:has(ip'10.0.0.2') and not s:has(ip'10.0.0.1') and n:match(p.src) == 'b') end");
}

TEST(Reload, GoesOnWithSetsAndRates) {
  const std::string both =
      "local s = engine.set{ key = 'src' } local r = engine.rate{ name = 'r', key = 'dst', above = 1e12 } ";
  Successors pair;
  pair.run(both + "function on_packet(p) s:add(p) r:add(p) end",
           both + "function on_packet(p) assert(s:add(p) == false and r:rate(p) > 200) end");
}

}  // namespace
