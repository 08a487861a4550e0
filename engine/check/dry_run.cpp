#include "engine/check/dry_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <thread>

#include "engine/base/error.h"
#include "engine/base/unique_fd.h"
#include "engine/cli/log.h"
#include "engine/cli/signals.h"
#include "engine/file_run.h"

namespace engine::check {
namespace {

constexpr std::size_t kMostLogLines = 100;

// A pipe whose other end has a path. What is written there is taken by a thread, line by line, so that nothing waits
// and nothing piles up.
class LineCatcher {
 public:
  explicit LineCatcher(std::size_t keep) : keep_(keep) {
    std::array<int, 2> ends;
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      throw SetupError(ExitCode::runtime_failure, "make a pipe", std::strerror(errno));
    read_.reset(ends[0]);
    write_.reset(ends[1]);
    thread_ = std::thread([this] { take_all(); });
  }
  ~LineCatcher() { finish(); }

  int fd() const noexcept { return write_.get(); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(write_.get()); }
  // Everybody else has closed their end: waits for the rest.
  void finish() {
    write_.reset();
    if (thread_.joinable()) thread_.join();
  }
  std::vector<std::string> lines;
  std::uint64_t count = 0;

 private:
  void take_all() {
    std::array<char, 65536> block;
    std::string open;
    for (ssize_t got; (got = read(read_.get(), block.data(), block.size())) != 0;) {
      if (got < 0) continue;  // EINTR: nothing else can happen to a blocking pipe
      std::string_view rest(block.data(), static_cast<std::size_t>(got));
      for (std::size_t end; (end = rest.find('\n')) != rest.npos; rest.remove_prefix(end + 1)) {
        if (lines.size() < keep_) lines.push_back(open.append(rest.substr(0, end)));
        open.clear();
        ++count;
      }
      if (lines.size() < keep_) open.append(rest);
    }
  }

  std::size_t keep_;
  UniqueFd read_;
  UniqueFd write_;
  std::thread thread_;
};

}  // namespace

DryRun dry_run(const cli::PluginSetting& plugin, const std::string& pcap_path, std::uint64_t lines) {
  cli::Settings settings;
  settings.pcap_path = pcap_path;
  settings.plugins.push_back(plugin);
  settings.format = cli::OutputFormat::json;
  LineCatcher results(lines), messages(kMostLogLines);
  settings.output_path = results.path();
  {
    cli::Log log(cli::LogLevel::warn, messages.fd());
    cli::Signals signals(log);
    run_file(settings, log, signals);
  }
  results.finish();
  messages.finish();
  DryRun run{std::move(results.lines), results.count, {}};
  for (const std::string& line : messages.lines) {
    const std::size_t name = line.find(plugin.name + ": ");
    if (name != line.npos) run.log.push_back(line.substr(name + plugin.name.size() + 2));
  }
  return run;
}

}  // namespace engine::check
