// What an older kernel refuses is refused here by the test, which stands between libbpf and the kernel: the errno that
// such a kernel gives, and what the engine makes of it.
#include <bpf/bpf.h>
#include <dlfcn.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <functional>

#include "bpf/root_program.h"
#include "bpf/uapi.h"
#include "tests/bpf/frames.h"
#include "tests/bpf/root_model.h"

namespace {

// The errno for a call of bpf(2), or 0 to let it through.
std::function<int(int command, const bpf_attr& attributes)> refuses;

}  // namespace

// In front of the C library's, for all that is linked dynamically: libbpf makes its calls by it.
extern "C" long syscall(long number, ...) noexcept {
  using Syscall = long (*)(long, long, long, long, long, long, long);
  static const auto real = reinterpret_cast<Syscall>(dlsym(RTLD_NEXT, "syscall"));
  long arguments[6];
  va_list list;
  va_start(list, number);
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_bpf && refuses)
    if (const int error = refuses(static_cast<int>(arguments[0]), *reinterpret_cast<const bpf_attr*>(arguments[1]));
        error != 0) {
      errno = error;
      return -1;
    }
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

namespace {

using namespace bpf_test;

class OldKernel : public testing::Test {
 protected:
  void TearDown() override { refuses = nullptr; }

  // No program with this flag can be loaded.
  void lacks_flag(__u32 flag) {
    refuses = [this, flag](int command, const bpf_attr& attributes) {
      const bool refused = command == BPF_PROG_LOAD && (attributes.prog_flags & flag) != 0;
      refused_ += refused ? 1 : 0;
      return refused ? EINVAL : 0;
    };
  }
  // This command is not known.
  void lacks_command(int lacking, int error) {
    refuses = [this, lacking, error](int command, const bpf_attr&) {
      refused_ += command == lacking ? 1 : 0;
      return command == lacking ? error : 0;
    };
  }

  int refused_ = 0;
};

TEST_F(OldKernel, HasNoFramesInSeveralBuffers) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  config.frags = true;
  lacks_flag(BPF_F_XDP_HAS_FRAGS);
  EXPECT_EQ(
      error_of([&] { bpf::RootProgram::load(config); }),
      "4: load the root program: this kernel has no XDP for frames in several buffers; use Linux 5.18 or newer, or "
      "an MTU whose frames fit into one buffer");
  EXPECT_GT(refused_, 0);
  config.frags = false;
  EXPECT_EQ(error_of([&] { bpf::RootProgram::load(config); }), "");
}

TEST_F(OldKernel, HasNoHintsAndKeepsTheFilter) {
  NEEDS_ROOT();
  const Namespace space;
  make_veth(1);
  bpf::RootConfig config;
  config.filter = "udp";
  config.hints = ROOT_HINT_ALL;
  lacks_flag(BPF_F_XDP_DEV_BOUND_ONLY);
  auto root = bpf::RootProgram::load(config);
  root.attach(if_nametoindex("veth_a"), "veth_a", bpf::AttachRequest::native, bpf::Foreign::refuse);
  EXPECT_EQ(root.attach_mode(), bpf::AttachMode::native);
  EXPECT_EQ(root.hints(), 0U);
  EXPECT_TRUE(refused_ == 0 || root.hints_refusal().find("load the root program: Invalid argument") == 0U)
      << root.hints_refusal();
  EXPECT_NE(root.hints_refusal(), "");
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.1", "10.0.0.2", 1, 2)), static_cast<std::uint32_t>(XDP_PASS));
  EXPECT_EQ(root.counters(0).no_socket, 1U) << "the filter matched";
}

class NoBatch : public OldKernel, public testing::WithParamInterface<int> {};

TEST_P(NoBatch, TakesEntriesOneByOne) {
  NEEDS_ROOT();
  bpf::RootConfig config;
  for (const char* entry : {"10.0.0.1", "10.0.0.2", "192.0.2.0/24", "2001:db8::/32"})
    bpf::add_block_entry(entry, "test", config.block);
  lacks_command(BPF_MAP_UPDATE_BATCH, GetParam());
  auto root = bpf::RootProgram::load(config);
  EXPECT_EQ(refused_, 2) << "asked once for each list";
  for (const char* source : {"10.0.0.1", "10.0.0.2", "192.0.2.77"})
    EXPECT_EQ(run(root.program_fd(), udp_frame(source, "198.51.100.1", 1, 2)), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.0.0.3", "198.51.100.1", 1, 2)), static_cast<std::uint32_t>(XDP_PASS));
}

INSTANTIATE_TEST_SUITE_P(Errors, NoBatch, testing::Values(EINVAL, EOPNOTSUPP, 524 /* the kernel's ENOTSUPP */));

TEST(BlockedSources, MayBeHundredsOfThousands) {
  NEEDS_ROOT();
  constexpr std::uint32_t count = 200'000;  // several batches
  bpf::RootConfig config;
  for (std::uint32_t i = 0; i < count; ++i) {
    root_block_address address = {};
    address.bytes[10] = address.bytes[11] = 0xff;
    address.bytes[12] = 10;
    for (std::uint32_t byte = 0; byte < 3; ++byte) address.bytes[13 + byte] = static_cast<__u8>(i >> (16 - 8 * byte));
    config.block.addresses.push_back(address);
  }
  const auto root = bpf::RootProgram::load(config);
  for (const char* source : {"10.0.0.0", "10.1.0.0", "10.3.13.63"})  // the first, one in the middle, the last
    EXPECT_EQ(run(root.program_fd(), udp_frame(source, "198.51.100.1", 1, 2)), static_cast<std::uint32_t>(XDP_DROP));
  EXPECT_EQ(run(root.program_fd(), udp_frame("10.3.13.64", "198.51.100.1", 1, 2)),
            static_cast<std::uint32_t>(XDP_PASS));
}

}  // namespace
