// What a process without rights gets: an explanation, or with a socket made by somebody else, a capture.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>

#include "engine/base/error.h"
#include "tests/xsk/lab.h"
#include "tests/xsk/sockets.h"
#include "xsk/uapi.h"

namespace xsk::test {
namespace {

using engine::ExitCode;
using engine::SetupError;

// Runs an action that must end in a SetupError, in a child that may give up its rights; returns the line, after a digit
// that is the exit code.
std::string line_of_child(const std::function<void()>& action) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    std::string line = "no error";
    try {
      action();
    } catch (const SetupError& error) {
      line = std::to_string(static_cast<int>(error.code())) + error.what();
    }
    (void)!::write(pipe[1], line.data(), line.size());
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string line(4096, '\0');
  const ssize_t got = ::read(pipe[0], line.data(), line.size());
  ::close(pipe[0]);
  ::waitpid(child, nullptr, 0);
  line.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return line;
}

void keep_capabilities(std::uint32_t kept) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> data{{{kept, kept, 0}, {0, 0, 0}}};
  ASSERT_EQ(::syscall(SYS_capset, &header, data.data()), 0);
}

using RightsInLab = Lab;

TEST_F(RightsInLab, ASocketMadeBySomebodyElseNeedsNoRightsToBeSetUp) {
  const std::string line = line_of_child([link = read_link(near())] {
    engine::UniqueFd ready(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
    keep_capabilities(0);
    const Memory memory;
    const Socket socket = Socket::open(receiving(link, 3, memory), std::move(ready));
    if (socket.mode() != ObtainedMode::copy) throw SetupError(ExitCode::runtime_failure, "mode", "not copy");
  });
  EXPECT_EQ(line, "no error");
}

TEST(SocketWithoutRights, TheMissingCapabilityIsNamed) {
  const std::string line = line_of_child([] {
    keep_capabilities(0);
    const Memory memory;
    (void)Socket::open(receiving(read_link("lo"), 0, memory));
  });
  EXPECT_EQ(line[0], '3') << line;
  EXPECT_NE(line.find("CAP_NET_RAW"), std::string::npos) << line;
}

TEST(SocketWithoutRights, TooLittleLockedMemoryIsExplained) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: CAP_NET_RAW, to get as far as the memory";
  const std::string line = line_of_child([] {
    const rlimit little{256 << 10, 256 << 10};
    ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
    keep_capabilities(1U << CAP_NET_RAW);
    const Memory memory(std::size_t{1} << 20);
    (void)Socket::open(receiving(read_link("lo"), 0, memory));
  });
  EXPECT_EQ(line[0], '3') << line;
  for (const char* word : {"1.0 MiB", "0.3 MiB", "RLIMIT_MEMLOCK", "CAP_IPC_LOCK"})
    EXPECT_NE(line.find(word), std::string::npos) << line;
}

}  // namespace
}  // namespace xsk::test
