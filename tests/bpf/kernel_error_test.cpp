// How the kernel's refusals become one line, without root.
#include "bpf/kernel_error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace {

TEST(KernelError, QuotesTheVerifiersLastLineThatSaysSomething) {
  EXPECT_EQ(bpf::last_log_line("0: (b7) r0 = 0\nR1 invalid mem access\nprocessed 3 insns (limit 1000000)\n"),
            "R1 invalid mem access");
  EXPECT_EQ(bpf::last_log_line(std::string_view("invalid argument\n\0\0\0\0", 21)), "invalid argument");
}

TEST(KernelError, HasNothingToQuoteFromAnEmptyLog) {
  EXPECT_EQ(bpf::last_log_line(""), "");
  EXPECT_EQ(bpf::last_log_line(std::string_view("\0\0\0", 3)), "");
  EXPECT_EQ(bpf::last_log_line("processed 3 insns (limit 1000000)\n"), "");
}

TEST(KernelError, DoesNotCallAVerifiersRefusalAMissingPermission) {
  const auto error = bpf::kernel_error("load it", EACCES, "R1 invalid mem access\n");
  EXPECT_EQ(error.code(), engine::ExitCode::machine_cannot);
  EXPECT_STREQ(error.what(), "load it: Permission denied (verifier: R1 invalid mem access)");
}

TEST(KernelError, ExitsAsNotPermittedForEperm) {
  EXPECT_EQ(bpf::kernel_error("load it", EPERM).code(), engine::ExitCode::not_permitted);
}

TEST(KernelError, GivesTheRemedyLast) {
  EXPECT_STREQ(bpf::kernel_error("do it", ENODEV, {}, "plug it in").what(), "do it: No such device; plug it in");
}

}  // namespace
