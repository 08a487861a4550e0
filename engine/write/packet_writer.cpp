#include "engine/write/packet_writer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "engine/base/error.h"
#include "engine/clock.h"

namespace engine {
namespace {

constexpr int kBusy_ms = 1;
constexpr int kIdle_ms = 20;
// So that the clock is read and the file looked at now and then, however much comes.
constexpr std::size_t kMostInARound = 8192;
constexpr std::uint64_t kHurry_ns = 1'000'000'000;
constexpr std::uint64_t kStall_ns = 100'000'000;
constexpr std::uint64_t kNever = UINT64_MAX;

UniqueFd make_event() {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) throw SetupError(ExitCode::runtime_failure, "create an eventfd", std::strerror(errno));
  return event;
}

// A file that meets the process's size limit is an error like any other, not the process's end. Threads inherit it.
void block_size_limit_signal() noexcept {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

PacketWriter::PacketWriter(PacketWriterConfig config)
    : config_(std::move(config)),
      file_(config_.path, config_.input_path, config_.write),
      name_(config_.path == "-" ? "stdout" : config_.path),
      order_(config_.lossless),
      last_ns_(config_.begin_ns),
      wake_(make_event()),
      done_(make_event()) {
  PacketLaneConfig lane{.ring_bytes = config_.ring_bytes,
                        .marked_only = config_.marked_only,
                        .tells_progress = config_.lossless && config_.workers > 1,
                        .room = config_.lossless ? &room_ : nullptr};
  room_.wake_fd = wake_.get();
  for (std::size_t i = 0; i < config_.workers; ++i) {
    lanes_.push_back(std::make_unique<PacketLane>(lane));
    order_.add(*lanes_.back());
  }
  block_size_limit_signal();
  pcapng::append_section(file_.gathered(), config_.section);
  for (const pcapng::Interface& interface : config_.interfaces) pcapng::append_interface(file_.gathered(), interface);
  file_.flush(monotonic_ns());
  if (file_.state() == BlockFile::State::failing)
    throw SetupError(ExitCode::runtime_failure, "write " + name_, file_.failure());
}

PacketWriter::~PacketWriter() {
  for (const auto& lane : lanes_) lane->finish();
  if (thread_.joinable()) interrupt();
  join();
}

void PacketWriter::start() {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw SetupError(ExitCode::runtime_failure, "start the thread that writes packets", error.code().message(),
                     "see ulimit -u");
  }
}

void PacketWriter::join() {
  if (thread_.joinable()) thread_.join();
}

void PacketWriter::interrupt() noexcept {
  hurry_until_ns_.store(monotonic_ns() + kHurry_ns, std::memory_order_relaxed);  // a time, guards nothing
  eventfd_write(wake_.get(), 1);
}

std::uint64_t PacketWriter::give_up_at() const noexcept {
  const std::uint64_t hurry = hurry_until_ns_.load(std::memory_order_relaxed);
  return hurry != 0 ? hurry : kNever;
}

void PacketWriter::run() noexcept {
  pthread_setname_np(pthread_self(), "packet writer");
  int pause_ms = kBusy_ms;
  for (;;) {
    const std::size_t taken = round();
    if (order_.drained()) break;
    if (taken == kMostInARound) continue;
    pause_ms = taken != 0 ? kBusy_ms : std::min(2 * pause_ms, kIdle_ms);
    sleep(pause_ms);
  }
  // Live, a reader that is slow at the end gets a second; over a file, the time it needs.
  const std::uint64_t end_ns = config_.lossless ? kNever : monotonic_ns() + kHurry_ns;
  file_.finish([&] { return std::min(end_ns, give_up_at()); });
  tell();
  eventfd_write(done_.get(), 1);
}

void PacketWriter::sleep(int timeout_ms) noexcept {
  std::array<pollfd, 2> waits{{{wake_.get(), POLLIN, 0}, {file_.waiting_fd(), POLLOUT, 0}}};
  ::poll(waits.data(), waits.size(), timeout_ms);
  eventfd_t count = 0;
  if (waits[0].revents != 0) eventfd_read(wake_.get(), &count);
}

std::size_t PacketWriter::round() noexcept {
  const std::uint64_t now_ns = monotonic_ns();
  std::size_t taken = 0;
  order_.look();
  while (taken < kMostInARound) {
    if (!file_.has_room()) {
      file_.write_some(now_ns);
      tell();
    }
    if (!file_.has_room() && file_.state() == BlockFile::State::good) {
      if (now_ns < give_up_at()) break;
      file_.give_up();
    }
    const PacketRecord* record = order_.next();
    if (record == nullptr) break;
    take(*record);
    order_.done();
    ++taken;
  }
  file_.write_some(now_ns);
  tell();
  if (config_.lossless) make_room(taken, now_ns);
  return taken;
}

void PacketWriter::make_room(std::size_t taken, std::uint64_t now_ns) noexcept {
  bool made = taken != 0;
  if (made || !order_.is_waiting()) moved_ns_ = now_ns;
  if (now_ns - moved_ns_ > kStall_ns && file_.has_room()) {
    order_.hold();
    moved_ns_ = now_ns;
    made = true;
  }
  if (!made) return;
  room_.made.fetch_add(1, std::memory_order_release);  // the rings' own indexes come before
  room_.made.notify_all();
}

void PacketWriter::take(const PacketRecord& record) noexcept {
  last_ns_ = std::max(last_ns_, record.time_ns);
  gap_ += record.lost;
  if (file_.state() != BlockFile::State::good) {
    ++dropped_;
    ++gap_;
    return;
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(&record + 1);
  const std::byte* text = bytes + record.caplen;
  comments_.clear();
  if (!gap_comment_.empty()) comments_.push_back(gap_comment_);
  for (std::uint32_t i = 0; i < record.comments; ++i) {
    std::uint16_t length;
    std::memcpy(&length, text, sizeof length);
    text += sizeof length;
    comments_.emplace_back(reinterpret_cast<const char*>(text), length);
    text += length;
  }
  pcapng::Packet packet{.interface = record.interface,
                        .time_ns = record.time_ns,
                        .len = record.len,
                        .frame = {bytes, record.caplen},
                        .queue = {},
                        .lost_before = gap_,
                        .comments = comments_};
  if (!config_.lossless) {  // a capture file does not tell
    packet.queue = record.queue;
    packet.direction = record.outgoing ? pcapng::Direction::outbound : pcapng::Direction::inbound;
  }
  pcapng::append_packet(file_.gathered(), packet);
  gap_ = 0;
  gap_comment_.clear();
}

// What has changed about the file, once for each change.
void PacketWriter::tell() noexcept {
  const BlockFile::State state = file_.state();
  if (state == told_) return;
  told_ = state;
  if (state == BlockFile::State::reader_gone) {
    config_.log(true, "write " + name_ + ": nobody reads it any more; packets are no longer written there");
    if (config_.on_reader_gone) config_.on_reader_gone();
  } else if (state == BlockFile::State::failing) {
    dropped_before_ = dropped_;
    config_.log(true, "write " + name_ + ": " + file_.failure() + "; packets are left out until it works again");
  } else {
    const std::string missing = std::to_string(dropped_ - dropped_before_) + " packets";
    config_.log(false, "write " + name_ + ": works again, " + missing + " were left out");
    if (dropped_ != dropped_before_) gap_comment_ = missing + " before this one are missing: " + file_.failure();
  }
}

void PacketWriter::finish(const std::vector<pcapng::Statistics>& given) noexcept {
  for (pcapng::Statistics statistics : given) {
    statistics.begin_ns = config_.begin_ns;
    statistics.end_ns = last_ns_;
    pcapng::append_statistics(file_.gathered(), statistics);
  }
  const std::uint64_t end_ns = monotonic_ns() + kHurry_ns;
  file_.finish([&] { return std::min(end_ns, give_up_at()); });
  failed_ = file_.state() == BlockFile::State::failing ||
            (config_.lossless && told_ != BlockFile::State::reader_gone && ledger().dropped != 0);
}

WriteLedger PacketWriter::ledger() const {
  WriteLedger ledger{
      .path = name_, .packets = file_.packets(), .bytes = file_.bytes(), .dropped = dropped_ + file_.dropped()};
  for (const auto& lane : lanes_) {
    ledger.dropped += lane->dropped();
    ledger.comments_cut += lane->marks().comments_cut();
  }
  return ledger;
}

}  // namespace engine
