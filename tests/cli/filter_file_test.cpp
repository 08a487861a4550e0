// --filter-file: comments go, lines are joined, and a file without a filter is refused rather than taken for "all".
#include "engine/cli/filter_file.h"

#include <cstdio>
#include <fstream>

#include "tests/cli/support.h"

namespace {

using engine::cli::filter_text;
using engine::cli::Settings;

class FilterFile : public ::testing::Test {
 protected:
  FilterFile() { settings_.filter_path = ::testing::TempDir() + "filter_file_test_" + std::to_string(getpid()); }
  ~FilterFile() override { std::remove(settings_.filter_path.c_str()); }

  std::string read(const std::string& text) {
    std::ofstream(settings_.filter_path, std::ios::binary) << text;
    return filter_text(settings_);
  }
  std::string refused(const std::string& text) {
    const auto refusal = cli_test::refusal_of([&] { read(text); });
    EXPECT_EQ(refusal.code, engine::ExitCode::bad_usage);
    return refusal.line.substr(refusal.line.find(": ") + 2);
  }

  Settings settings_;
};

TEST_F(FilterFile, JoinsLinesAndDropsComments) {
  EXPECT_EQ(read("# what we want\r\nudp port 53 # DNS\n  or tcp port 53\n"),
            "udp port 53" + std::string(9, ' ') + "or tcp port 53");
}

TEST_F(FilterFile, RefusesWhatHoldsNoFilter) {
  EXPECT_EQ(refused(""), "holds no filter; write one, or give --take-all without a filter");
  EXPECT_EQ(refused("# tcp\n"), "holds no filter; write one, or give --take-all without a filter");
  EXPECT_EQ(refused(std::string("tcp\0", 4)), "holds a NUL byte; give text");
  EXPECT_EQ(refused(std::string(1u << 20, ' ')), "is a megabyte or more");
}

TEST_F(FilterFile, NamesAFileThatIsNotThere) {
  const auto refusal = cli_test::refusal_of([&] { filter_text(settings_); });
  EXPECT_EQ(refusal.line, "filter file " + settings_.filter_path + ": No such file or directory");
}

TEST_F(FilterFile, WithoutAFileTheTextIsTheFilter) {
  Settings settings;
  EXPECT_EQ(filter_text(settings), "");
  settings.filter = "tcp";
  EXPECT_EQ(filter_text(settings), "tcp");
}

}  // namespace
