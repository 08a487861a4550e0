// Dropped capabilities stay dropped, in threads and over exec; what is missing is named.
#include "engine/cli/privileges.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "engine/cli/promiscuous.h"
#include "tests/cli/support.h"

namespace {

using namespace engine::cli;
using cli_test::in_child;
using cli_test::refusal_of;

// "CapEff: 0000000000000000", without the blanks between.
std::string status_line(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream words(line.substr(key.size() + 1));
    std::string value;
    words >> value;
    return value;
  }
  return "no " + key;
}

std::string output_of(const std::string& command) {
  FILE* const pipe = popen(command.c_str(), "r");
  std::string text;
  char buffer[256];
  while (pipe != nullptr && fgets(buffer, sizeof buffer, pipe) != nullptr) text.append(buffer);
  if (pipe != nullptr) pclose(pipe);
  return text;
}

TEST(Privileges, AreGoneFromThisThreadAndLaterOnes) {
  const std::string none = "0000000000000000";
  EXPECT_EQ(in_child([] {
              drop_privileges();
              std::string answer;
              for (const char* key : {"CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"})
                answer += status_line("/proc/self/status", key) + " ";
              std::thread([&] { answer += status_line("/proc/thread-self/status", "CapEff"); }).join();
              return answer;
            }),
            none + " " + none + " " + none + " " + none + " 1 " + none);
}

TEST(Privileges, DoNotComeBackByExec) {
  EXPECT_EQ(in_child([] {
              drop_privileges();
              return output_of("exec grep -E '^Cap(Prm|Eff)' /proc/self/status");
            }),
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
}

TEST(Privileges, ThatAreKeptAreKeptAlone) {
  if (!missing_capabilities().required.empty()) GTEST_SKIP() << "needs root: CAP_NET_ADMIN";
  EXPECT_EQ(in_child([] {
              const cap_value_t keep[] = {CAP_NET_ADMIN};
              drop_privileges(keep);
              return status_line("/proc/self/status", "CapEff");
            }),
            "0000000000001000");
}

TEST(Privileges, ThatAreMissingAreNamed) {
  const std::string answer = in_child([] {
    drop_privileges();
    const auto refusal = refusal_of([] { require_capabilities("AF_XDP on eth0"); });
    return std::to_string(static_cast<int>(refusal.code)) + " " + refusal.line;
  });
  EXPECT_EQ(answer.find("3 AF_XDP on eth0: not permitted without CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF "
                        "(also missing, but optional: CAP_PERFMON, CAP_IPC_LOCK); run as root"),
            0u)
      << answer;
}

TEST(Privileges, OfAdministratorsStandForTheBpfOnes) {
  if (!missing_capabilities().required.empty()) GTEST_SKIP() << "needs root: CAP_SYS_ADMIN";
  EXPECT_EQ(in_child([] {
              const cap_value_t keep[] = {CAP_SYS_ADMIN, CAP_NET_RAW};
              drop_privileges(keep);
              return capability_list(missing_capabilities().required);
            }),
            "CAP_NET_ADMIN");
}

// The count that the kernel keeps; a new namespace's lo is nobody else's.
std::string promiscuity_of_lo() {
  const std::string text = output_of("ip -d link show dev lo");
  const std::size_t at = text.find("promiscuity ");
  return at == text.npos ? text : text.substr(at + 12, 1);
}

TEST(Promiscuous, LastsAsLongAsItsObject) {
  if (!missing_capabilities().required.empty()) GTEST_SKIP() << "needs root: CAP_NET_RAW";
  EXPECT_EQ(in_child([] {
              if (unshare(CLONE_NEWNET) != 0) return std::string("unshare failed");
              std::string answer = promiscuity_of_lo();
              {
                const Promiscuous promiscuous("lo");
                answer += promiscuity_of_lo();
              }
              return answer + promiscuity_of_lo();
            }),
            "010");
}

TEST(Promiscuous, RefusalsSayWhatToDo) {
  const auto unknown = refusal_of([] { Promiscuous("nosuchif0"); });
  EXPECT_EQ(unknown.code, engine::ExitCode::machine_cannot);
  EXPECT_EQ(unknown.line, "promiscuous mode of nosuchif0: No such device; 'ip link' lists interfaces");
  EXPECT_EQ(in_child([] {
              drop_privileges();
              const auto denied = refusal_of([] { Promiscuous("lo"); });
              return std::to_string(static_cast<int>(denied.code)) + " " + denied.line;
            }),
            "3 promiscuous mode of lo: Operation not permitted; needs CAP_NET_RAW; or give --no-promisc");
}

}  // namespace
