// --write: the packets of a run as a pcapng file, written by a thread of its own.
//
// Workers copy frames into their lanes (packet_lane.h); the thread takes them from there, puts them in order
// (packet_order.h) and gives blocks to the file (block_file.h). It looks at the lanes each millisecond while there is
// something, up to 20 ms apart when there is nothing: live workers never wake it.
//
// What cannot be written is dropped as whole packets and counted; the next one that is written says how many are
// missing before it, and why if it was the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/base/unique_fd.h"
#include "engine/ledger.h"
#include "engine/write/block_file.h"
#include "engine/write/packet_lane.h"
#include "engine/write/packet_order.h"

namespace engine {

struct PacketWriterConfig {
  std::string path;        // "-": stdout
  std::string input_path;  // of a run over a file, else empty
  bool marked_only = false;
  bool lossless = false;  // files: workers wait for room, and the order is the file's
  std::size_t workers = 1;
  std::size_t ring_bytes = 8u << 20;  // per worker
  std::uint64_t begin_ns = 0;         // UTC
  pcapng::Section section;
  std::vector<pcapng::Interface> interfaces;  // packets name one by its place

  // Called on the writer's thread.
  std::function<void(bool warns, std::string_view text)> log;
  std::function<void()> on_reader_gone;  // once
  BlockFile::Write write = ::write;
};

class PacketWriter {
 public:
  // Opens the file and writes its head. Throws SetupError.
  explicit PacketWriter(PacketWriterConfig config);
  ~PacketWriter();
  PacketWriter(const PacketWriter&) = delete;
  PacketWriter& operator=(const PacketWriter&) = delete;

  PacketLane& lane(std::size_t worker) noexcept { return *lanes_[worker]; }
  void start();  // throws SetupError

  // A signal came: a reader that is stuck gets one more second. Any thread.
  void interrupt() noexcept;
  // Readable once everything that the workers sent has been written or dropped.
  int done_fd() const noexcept { return done_.get(); }
  void join();  // after every lane's finish()

  // After join(): the interfaces' statistics end the file.
  void finish(const std::vector<pcapng::Statistics>& statistics) noexcept;
  WriteLedger ledger() const;                       // after finish()
  bool failed() const noexcept { return failed_; }  // the file lacks its end, or packets of a capture file

  // One look at all lanes; how many packets were taken. The thread's step, and what tests call instead of start().
  std::size_t round() noexcept;

 private:
  void run() noexcept;
  void sleep(int timeout_ms) noexcept;
  void make_room(std::size_t taken, std::uint64_t now_ns) noexcept;
  void take(const PacketRecord& record) noexcept;
  void tell() noexcept;
  std::uint64_t give_up_at() const noexcept;

  PacketWriterConfig config_;
  BlockFile file_;
  std::string name_;
  PacketOrder order_;
  std::vector<std::unique_ptr<PacketLane>> lanes_;
  std::vector<std::string_view> comments_;  // of the packet at hand
  std::string gap_comment_;
  std::uint64_t gap_ = 0;             // packets missing since the last one that was written
  std::uint64_t dropped_ = 0;         // here, beside those that found no room in a lane
  std::uint64_t dropped_before_ = 0;  // the file failed
  std::uint64_t last_ns_ = 0;         // UTC, of the latest packet
  std::uint64_t moved_ns_ = 0;        // when a round last took a packet
  BlockFile::State told_ = BlockFile::State::good;
  bool failed_ = false;
  std::atomic<std::uint64_t> hurry_until_ns_{0};
  RoomSignal room_;
  UniqueFd wake_;
  UniqueFd done_;
  std::thread thread_;
};

}  // namespace engine
