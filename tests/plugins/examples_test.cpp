// The examples as a worker runs them: what the JIT compiler makes of each, over a million packets that reach all of it.
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <array>
#include <filesystem>
#include <string>

#include "engine/decode/decode.h"
#include "engine/gen/traffic.h"
#include "plugins/impl.h"
#include "tests/plugins/lab.h"
#include "tests/plugins/messages.h"
#include "tests/plugins/traces.h"

namespace test {
namespace {

constexpr std::uint8_t kFin = 1, kSyn = 2, kAck = 16;
constexpr std::uint16_t kClient = 4000, kServer = 443;  // the ports of the connections below

struct Segment {
  bool forward;
  std::uint8_t flags;
  std::uint32_t seq;
  std::uint32_t ack;
};
constexpr Segment kConnection[] = {{true, kSyn, 100, 0},           {false, kSyn | kAck, 500, 101},
                                   {true, kAck, 101, 501},         {true, kFin | kAck, 101, 501},
                                   {false, kFin | kAck, 501, 102}, {true, kAck, 102, 502}};

// The engine's built-in traffic, which new states are warmed up with, and the same with whole connections among it.
struct ExampleLab : lab::Lab {
  explicit ExampleLab(const std::string& path) {
    frames.clear();
    const engine::gen::FrameSet set = engine::gen::builtin_frames(4096);
    for (std::size_t i = 0; i < set.offsets.size(); ++i) {
      const auto* from = reinterpret_cast<const std::uint8_t*>(set.memory.data()) + set.offsets[i];
      builtin.push_back(append(Bytes(from, from + set.lengths[i])));
      if (i % 32 != 31) continue;
      for (const Segment& say : kConnection) {
        engine_packet& p =
            append(ethernet(0x0800) + ipv4({.proto = 6}, tcp(say.forward ? kClient : kServer,
                                                             say.forward ? kServer : kClient, say.flags, {})));
        if (!say.forward) {
          LAB_SET(p, src, p.dst);
          LAB_SET(p, dst, given[given.size() - 2].src);
        }
        LAB_SET(p, tcp_seq, say.seq);
        LAB_SET(p, tcp_ack, say.ack);
      }
    }
    fill(0);
    spec.name = std::filesystem::path(path).stem();
    spec.path = path;
  }

  // The next packets, 50,000 a second. Each time a connection comes, it is another one.
  void fill_batch(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i, next = (next + 1) % given.size()) {
      engine_packet& p = packets[i];
      std::memcpy(static_cast<void*>(&p), &given[next], sizeof p);
      LAB_SET(p, time, now_ns += 20'000);
      if (p.src_port == kClient && p.tcp_flags == kSyn) ++connections;
      if (p.src_port == kClient && p.dst_port == kServer) LAB_SET(p, src_port, 5000 + connections % 60'000);
      if (p.src_port == kServer && p.dst_port == kClient) LAB_SET(p, dst_port, 5000 + connections % 60'000);
    }
  }

  std::vector<engine_packet> builtin;
  std::size_t next = 0;
  double now_ns = 0;
  std::uint32_t connections = 0;

 private:
  engine_packet& append(const Bytes& frame) {
    engine_packet& p = given.emplace_back();
    engine::decode_frame(frame.data(), static_cast<std::uint32_t>(frame.size()), p);
    LAB_SET(p, _off, frames.size());
    LAB_SET(p, caplen, frame.size());
    LAB_SET(p, len, frame.size());
    frames.insert(frames.end(), frame.begin(), frame.end());
    return p;
  }
};

// A plugin's own filter, as the worker applies it.
class Filter {
 public:
  explicit Filter(const std::string& text) : all_(text.empty()) {
    if (all_) return;
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 65535);
    EXPECT_EQ(pcap_compile(dead, &program_, text.c_str(), 1, PCAP_NETMASK_UNKNOWN), 0) << text;
    pcap_close(dead);
  }
  ~Filter() {
    if (!all_) pcap_freecode(&program_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  bool all() const { return all_; }
  bool matches(const lab::Lab& lab, const engine_packet& p) const {
    return bpf_filter(program_.bf_insns, lab.frames.data() + p._off, p.len, p.caplen) != 0;
  }

 private:
  bool all_;
  bpf_program program_{};
};

// What a worker does with a plugin, around the inside of one state.
class Worker {
 public:
  Worker(ExampleLab& lab, plugins::State::Impl& impl) : lab_(lab), impl_(impl), filter_(impl.instance.filter) {}

  void batch(std::uint32_t count) {
    lab_.fill_batch(count);
    lab_.outbox.used = 0;
    const plugins::Loan loan(impl_);
    std::uint32_t offered = count;
    if (!filter_.all()) {
      offered = 0;
      for (std::uint32_t i = 0; i < count; ++i)
        if (filter_.matches(lab_, lab_.packets[i])) impl_.shared.index[offered++] = static_cast<std::uint16_t>(i);
    }
    if (offered != 0) {
      impl_.prefetch(filter_.all() ? nullptr : impl_.shared.index, offered);
      impl_.begin_crossing(offered);
      impl_.offer(filter_.all() ? plugins::kRun : plugins::kRunIndex, 0, offered - 1, !filter_.all());
      impl_.drain();
    }
    emitted = lab_.outbox.emitted;
  }

  void end_interval() {
    LAB_SET(lab_.packets[lab::kCapacity], time, lab_.now_ns);
    const plugins::Loan loan(impl_);
    for (plugins::Structure* structure : impl_.instance.structures) {
      if (plugins::Table* table = structure->table()) table->advance(lab_.now_ns);
      impl_.drain();
      if (plugins::Part* filled = structure->swap()) {
        published += filled->empty() ? 0 : filled->lines();
        structure->give_back(filled);
      }
    }
    impl_.call_hook("on_tick", &lab_.now_ns);
  }

  std::uint64_t emitted = 0;
  std::uint64_t published = 0;

 private:
  ExampleLab& lab_;
  plugins::State::Impl& impl_;
  Filter filter_;
};

std::vector<std::string> examples() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(EXAMPLES_DIR))
    if (entry.path().extension() == ".lua") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Example : public testing::TestWithParam<std::string> {};

TEST_P(Example, StartsAbortsAndFlushesNoTraceInAMillionPackets) {
  ExampleLab lab(GetParam());
  // Low thresholds, so that what is above them is told too.
  lab.spec.args = {{"targets", 1.0}, {"above", 1.0}};
  plugins::Binding binding = lab.binding();
  binding.traffic = {lab.builtin, lab.frames.data()};  // as the engine does
  plugins::State::Impl impl(lab.spec, binding);
  lab::Traces traces(impl);
  Worker worker(lab, impl);
  const std::size_t before_bytes = impl.arena.used_bytes();
  std::uint32_t packets = 0;
  for (std::uint32_t batch = 0; packets < 1'000'000; ++batch) {
    const std::uint32_t count = std::array{64, 256, 16}[batch % 3];
    worker.batch(count);
    packets += count;
    if (batch % 512 == 511) worker.end_interval();
  }
  worker.end_interval();
  EXPECT_EQ(impl.stats.errors, 0u) << (lab.messages().empty() ? std::string() : lab.messages()[0].text());
  EXPECT_EQ(traces.count("start"), 0) << traces.text();
  EXPECT_EQ(traces.count("abort"), 0);
  EXPECT_EQ(traces.count("flush"), 0);
  EXPECT_GT(worker.emitted + worker.published, 0u) << "the traffic reaches what it is for";
  EXPECT_LE(impl.arena.used_bytes() - before_bytes, 64u << 10) << "garbage that a collection has not met yet";
}

INSTANTIATE_TEST_SUITE_P(Shipped, Example, testing::ValuesIn(examples()),
                         [](const auto& info) { return std::filesystem::path(info.param).stem().string(); });

}  // namespace
}  // namespace test
