// What the inspector sees in a state: places that are not compiled, packets that are kept, the time of on_start.
#include "plugins/inspector.h"

#include <gtest/gtest.h>

#include "tests/plugins/lab.h"

namespace {

struct Inspected {
  explicit Inspected(std::string_view code, std::uint32_t batch = lab::kCapacity) {
    lab.warm = true;
    lab.spec.name = "test";
    lab.spec.code = code;
    plugins::Binding binding = lab.binding();
    binding.observer = &inspector;
    lab.state = std::make_unique<plugins::State>(lab.spec, binding);
    inspector.warmed_up();
    for (std::uint32_t i = 0; i < 300; ++i) {
      lab.fill(i);
      lab.run(batch);
      if (batch < lab::kCapacity) inspector.seize();
    }
  }
  plugins::Inspector inspector;
  lab::Lab lab;
};

std::string aborts_of(std::string_view code) {
  Inspected inspected(code);
  std::string all;
  for (const plugins::TraceAbort& abort : inspected.inspector.aborts()) {
    all += abort.place + ": " + abort.reason + (abort.given_up ? " (given up)" : "") + ": " + abort.advice + "\n";
  }
  return all;
}

TEST(Inspector, AFunctionMadeForEachPacketIsNamedWithItsLine) {
  EXPECT_EQ(aborts_of("local n = 0\nfunction on_packet(p)\n  local f = function() return p.len end\n  n = n + f()\nend")
                .substr(0, 80),
            "eval:3: NYI: bytecode FNEW (given up): a function is made here each time: define");
}

TEST(Inspector, FunctionsThatAreNotCompiledAreNamedByTheCallersLine) {
  const std::string said = aborts_of("local n = 0\nfunction on_packet(p)\n  n = n + #string.gsub('x', 'x', 'y')\nend");
  EXPECT_NE(said.find("eval:3: leaves compiled code"), std::string::npos) << said;
}

TEST(Inspector, WhatIsCompiledIsSilent) {
  EXPECT_EQ(aborts_of("local n = 0\nfunction on_packet(p) n = n + p.len end"), "");
  EXPECT_EQ(
      aborts_of("local n = {}\nfor i = 0, 255 do n[i] = 0 end\nfunction on_packet(p) n[p.proto] = n[p.proto] + 1 end\n"
                "function on_tick() for k, v in pairs(n) do local f = function() end end end"),
      "");
}

std::string kept_of(std::string_view code) {
  Inspected inspected(code, 1);
  std::string all;
  for (const plugins::Kept& kept : inspected.inspector.kept()) {
    all += kept.what + (kept.is_key ? " as key in " : " in ") + kept.name + "\n";
  }
  for (const auto& message : inspected.lab.messages()) {
    all += message.text() + "\n";
    break;
  }
  return all;
}

TEST(Inspector, AKeptPacketIsAnErrorWhereItIsReadLater) {
  EXPECT_EQ(
      kept_of("local last\nlocal n = 0\nfunction on_packet(p)\n  if last then\n    n = n + last.len\n  end\n  last = "
              "p\nend"),
      "packet in 'last'\neval:5: a packet is used after its callback returned (kept in 'last'); keep the fields that "
      "you need\n");
  EXPECT_EQ(kept_of("local all = {}\nfunction on_packet(p)\n  all[1 + #all % 3] = p.src\n  if #all > 1 then\n    "
                    "print(all[1]:key())\n  end\nend"),
            "address in 'all'\neval:5: an address of a packet is used after its callback returned (kept in 'all'); "
            "keep its :copy() or "
            ":key()\n");
}

TEST(Inspector, WhatIsKeptButNeverReadLaterIsNoError) {
  EXPECT_EQ(kept_of("local current\nlocal function len() return current.len end\nlocal n = 0\n"
                    "function on_packet(p) current = p n = n + len() end"),
            "packet in 'current'\n");
  EXPECT_EQ(kept_of("local own = {}\nfunction on_packet(p) own[1] = p.src:copy() end"), "");
}

TEST(Inspector, AddressesAsKeysAreFound) {
  EXPECT_EQ(kept_of("local seen = {}\nfunction on_packet(p) seen[p.src] = true end"), "address as key in 'seen'\n");
}

TEST(Inspector, TheTimeOfOnStart) {
  Inspected inspected("function on_start() local x = 0 for i = 1, 1000 do x = x + i end end");
  EXPECT_GT(inspected.inspector.start_ns(), 0);
  EXPECT_LT(Inspected("function on_tick() end").inspector.start_ns(), 0);
}

}  // namespace
