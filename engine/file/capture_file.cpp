#include "engine/file/capture_file.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "bpf/filter.h"
#include "engine/base/error.h"
#include "engine/packet_filter.h"

namespace engine {
namespace {

// One read per so many bytes: with stdio's 4 KiB the system calls cost more than libpcap itself.
constexpr std::size_t kInputBuffer_bytes = 256 * 1024;

LinkType link_type(int datalink) noexcept {
  switch (datalink) {
    case DLT_EN10MB:
      return LinkType::ethernet;
    case DLT_LINUX_SLL:
      return LinkType::linux_cooked;
    case DLT_LINUX_SLL2:
      return LinkType::linux_cooked2;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return LinkType::ip;
    case DLT_NULL:
    case DLT_LOOP:
      return LinkType::loopback;
    default:
      return LinkType::other;
  }
}

}  // namespace

CaptureFile::CaptureFile(const std::string& path, int interrupt_fd)
    : name_(path == "-" ? "standard input" : path), input_(std::make_unique<Input>()) {
  input_->outside_interrupt_fd = interrupt_fd;
  open_input(path);
  read_head();

  const cookie_io_functions_t functions{read_input, nullptr, nullptr, nullptr};
  FILE* stream = ::fopencookie(input_.get(), "r", functions);
  if (stream == nullptr) throw SetupError(ExitCode::runtime_failure, "read " + name_, std::strerror(errno));
  input_->buffer = std::make_unique<char[]>(kInputBuffer_bytes);
  ::setvbuf(stream, input_->buffer.get(), _IOFBF, kInputBuffer_bytes);
  ::__fsetlocking(stream, FSETLOCKING_BYCALLER);  // one thread at a time reads: no lock per header and packet

  std::array<char, PCAP_ERRBUF_SIZE> words{};
  handle_.reset(::pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, words.data()));
  if (handle_) {
    link_ = link_type(datalink());
    bool nanoseconds = false;
    // libpcap has taken the file's header by now and nothing behind it.
    if (input_->head_given == input_->head.size() && link_ != LinkType::other &&
        PlainRecords::are_in(input_->head.data(), nanoseconds))
      plain_.emplace(read_file, input_.get(), static_cast<std::uint32_t>(::pcap_snapshot(handle_.get())), nanoseconds);
    return;
  }
  ::fclose(stream);  // libpcap closes it only with the handle
  if (input_->interrupted) throw SetupError(ExitCode::done, "read " + name_, "interrupted before the first packet");
  throw SetupError(ExitCode::bad_usage, "read " + name_, words.data(), "give a pcap or pcapng file");
}

void CaptureFile::open_input(const std::string& path) {
  // Standard input is duplicated: closing ours must not close the process' own.
  const int fd = path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    throw SetupError(ExitCode::bad_usage, "open " + name_, std::strerror(errno),
                     errno == ENOENT ? "check the path" : "");
  input_->file.reset(fd);
  input_->interrupt.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!input_->interrupt.valid()) throw SetupError(ExitCode::runtime_failure, "eventfd", std::strerror(errno));
}

// Short only if the file is, or cannot be read: libpcap meets the same when it goes on.
void CaptureFile::read_head() {
  while (input_->head_bytes < input_->head.size()) {
    const ssize_t got = read_file(input_.get(), reinterpret_cast<char*>(input_->head.data()) + input_->head_bytes,
                                  input_->head.size() - input_->head_bytes);
    if (got <= 0) return;
    input_->head_bytes += static_cast<std::size_t>(got);
  }
}

// The FILE's read function. The head comes by itself, so that nothing behind it is in the FILE's buffer yet.
ssize_t CaptureFile::read_input(void* cookie, char* buffer, std::size_t bytes) {
  Input& input = *static_cast<Input*>(cookie);
  const std::size_t left = std::min(bytes, input.head_bytes - input.head_given);
  if (left == 0) {
    if (input.before_input) input.before_input();
    return read_file(cookie, buffer, bytes);
  }
  std::memcpy(buffer, input.head.data() + input.head_given, left);
  input.head_given += left;
  return static_cast<ssize_t>(left);
}

// 0 is the end of the file, to libpcap and to us if we were interrupted.
ssize_t CaptureFile::read_file(void* cookie, char* buffer, std::size_t bytes) {
  Input& input = *static_cast<Input*>(cookie);
  for (;;) {
    // poll() passes over a negative descriptor.
    std::array<pollfd, 3> wait{
        {{input.file.get(), POLLIN, 0}, {input.interrupt.get(), POLLIN, 0}, {input.outside_interrupt_fd, POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (wait[1].revents != 0 || wait[2].revents != 0) {
      input.interrupted = true;
      return 0;
    }
    const ssize_t got = ::read(input.file.get(), buffer, bytes);
    if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
  }
}

// libpcap tells it only in the head of a file that it writes (pcap_dump_fopen; pcap-savefile(5): the last field).
std::uint16_t CaptureFile::file_link_type() const {
  char* head = nullptr;
  std::size_t bytes = 0;
  FILE* const stream = ::open_memstream(&head, &bytes);
  pcap_dumper_t* const dumper = stream != nullptr ? ::pcap_dump_fopen(handle_.get(), stream) : nullptr;
  if (dumper == nullptr) {
    if (stream != nullptr) ::fclose(stream);
    ::free(head);
    throw SetupError(ExitCode::bad_usage, "packets of " + name_, ::pcap_geterr(handle_.get()));
  }
  ::pcap_dump_close(dumper);
  pcap_file_header header;
  std::memcpy(&header, head, sizeof header);
  ::free(head);
  return static_cast<std::uint16_t>(header.linktype);
}

void CaptureFile::before_input(std::function<void()> callback) {
  if (plain_) {
    plain_->input().before_wait(std::move(callback));
  } else {
    input_->before_input = std::move(callback);
  }
}

void CaptureFile::read_ahead() noexcept {
  if (plain_) plain_->input().read_ahead();
}

void CaptureFile::set_filter(const std::string& expression) {
  filter_ = bpf::compile_filter(expression, bpf::filter_snaplen_bytes, datalink());
}

bool CaptureFile::matches(const CapturedPacket& packet) const noexcept {
  return filter_.empty() || is_selected(filter_, packet.bytes, packet.header->len, packet.header->caplen);
}

bool CaptureFile::next_by_libpcap(CapturedPacket& packet) noexcept {
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  const int status = ::pcap_next_ex(handle_.get(), &header, &bytes);
  if (status == 1) {
    packet = {header, bytes, header->ts.tv_sec, header->ts.tv_usec};  // opened for ns: tv_usec holds nanoseconds
    return true;
  }
  if (status != PCAP_ERROR_BREAK && !input_->interrupted) failure_ = ::pcap_geterr(handle_.get());
  return false;
}

bool CaptureFile::end_plain(PlainRecords::Status status) noexcept {
  if (status == PlainRecords::Status::failed && !input_->interrupted) failure_ = plain_->failure();
  return false;
}

void CaptureFile::interrupt() noexcept {
  const std::uint64_t one = 1;
  // Fails only if the number is at its limit: then it is readable already.
  [[maybe_unused]] const ssize_t written = ::write(input_->interrupt.get(), &one, sizeof one);
}

}  // namespace engine
