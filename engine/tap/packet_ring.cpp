#include "engine/tap/packet_ring.h"

#include <linux/if_packet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "engine/base/error.h"

namespace engine {
namespace {

// tpacket_rcv() cuts no frame to it (only TPACKET_V1 and V2 have frames of one size); it has to divide a block.
constexpr std::uint32_t kFrame_bytes = 2048;

std::string mebibytes(std::size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

void create(int socket_fd, const RingShape& shape, const std::string& object) {
  tpacket_req3 request{};
  request.tp_block_size = shape.block_bytes;
  request.tp_block_nr = shape.blocks;
  request.tp_frame_size = kFrame_bytes;
  request.tp_frame_nr = shape.block_bytes / kFrame_bytes * shape.blocks;
  request.tp_retire_blk_tov = shape.timeout_ms;
  if (::setsockopt(socket_fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0) return;
  if (errno == ENOMEM)
    throw SetupError(ExitCode::machine_cannot, object, "not enough memory for a ring of " + mebibytes(shape.bytes()),
                     "use a smaller one, or fewer workers");
  throw SetupError(ExitCode::machine_cannot, object, std::generic_category().message(errno));
}

}  // namespace

RingShape ring_shape(std::size_t budget_bytes) {
  if (budget_bytes < kMinRing_bytes || budget_bytes > kMaxRing_bytes)
    throw SetupError(ExitCode::bad_usage, "ring of " + std::to_string(budget_bytes) + " bytes",
                     "is out of range: " + mebibytes(kMinRing_bytes) + " to " + mebibytes(kMaxRing_bytes));
  RingShape shape;
  shape.blocks = static_cast<std::uint32_t>(budget_bytes / shape.block_bytes);
  return shape;
}

PacketRing::PacketRing(int socket_fd, const RingShape& shape, std::byte* at, std::string_view object)
    : bytes_(shape.bytes()), in_reserved_range_(at != nullptr) {
  const std::string what = "create the ring of " + std::string(object);
  create(socket_fd, shape, what);
  // Writable: a VLAN tag that the kernel removed is put back where the frame lies.
  const int flags = MAP_SHARED | (in_reserved_range_ ? MAP_FIXED : 0);
  void* mapped = ::mmap(at, bytes_, PROT_READ | PROT_WRITE, flags, socket_fd, 0);
  if (mapped == MAP_FAILED)
    throw SetupError(ExitCode::machine_cannot, "map the ring of " + std::string(object),
                     std::generic_category().message(errno));
  data_ = static_cast<std::byte*>(mapped);
}

PacketRing::PacketRing(PacketRing&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_), in_reserved_range_(other.in_reserved_range_) {}

PacketRing& PacketRing::operator=(PacketRing&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(in_reserved_range_, other.in_reserved_range_);
  return *this;
}

PacketRing::~PacketRing() {
  if (data_ == nullptr) return;
  // A hole in the range might be taken by another mapping, which the next ring there would overwrite.
  if (in_reserved_range_ &&
      ::mmap(data_, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
    return;
  ::munmap(data_, bytes_);
}

}  // namespace engine
