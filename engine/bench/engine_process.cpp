#include "engine/bench/engine_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/jansson.h"
#include "engine/clock.h"
#include "xsk/link.h"

namespace engine::bench {
namespace {

constexpr int kAnswerLimit_ms = 60'000;  // of an engine that starts: plugins are loaded and warmed up
constexpr int kStopLimit_ms = 60'000;
constexpr int kLook_ms = 10;  // nothing tells that another process listens

[[noreturn]] void fail(const std::string& what, const std::string& reason, const std::string& remedy = {}) {
  throw SetupError(ExitCode::runtime_failure, what, reason, remedy);
}

void require_ours(std::span<char* const> options) {
  for (const std::string_view option : options)
    for (const std::string_view ours : {"--control", "--summary"})
      if (option.starts_with(ours))
        throw SetupError(ExitCode::bad_usage, "-- " + std::string(option), "the benchmark gives the engine one itself",
                         "drop it");
}

// Between fork() and exec(): nothing but system calls.
[[noreturn]] void become_engine(char* const* args, pid_t parent) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGINT);  // it goes with us, also if we are killed
  setpgid(0, 0);                    // Ctrl-C is for us, who then end it
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nowhere = open("/dev/null", O_WRONLY);
  if (getppid() == parent && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0) execv("/proc/self/exe", args);
  _exit(127);
}

// A process's CPU time by the kernel's numbers of these clocks (include/linux/posix-timers_types.h).
enum class CpuClock : unsigned { ticks = 0, user = 1, exact = 2 };
std::uint64_t cpu_ns(pid_t process, CpuClock clock) noexcept {
  timespec spent{};
  clock_gettime(static_cast<clockid_t>(~static_cast<unsigned>(process) << 3 | static_cast<unsigned>(clock)), &spent);
  return static_cast<std::uint64_t>(spent.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(spent.tv_nsec);
}

std::uint64_t number(const json_t* object, const char* name) {
  return static_cast<std::uint64_t>(json_integer_value(json_object_get(object, name)));
}

EngineProcess::Counts counts_of(const json_t* totals) {
  EngineProcess::Counts counts;
  counts.analysed = number(totals, "analysed");
  counts.bytes = number(totals, "rx_bytes");
  for (const char* cause : {"rx_dropped", "rx_ring_full", "no_socket", "slot_dropped", "redirect_errors", "skipped"})
    counts.lost += number(totals, cause);
  counts.results_dropped = number(totals, "results_dropped");
  counts.plugin_errors = number(totals, "plugin_errors");
  counts.unaccounted = number(totals, "unaccounted");
  return counts;
}

}  // namespace

EngineProcess::EngineProcess(std::span<char* const> options) {
  require_ours(options);
  std::string folder = (std::filesystem::temp_directory_path() / "engine-soak-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) fail("make a folder in " + folder, std::strerror(errno), "set TMPDIR");
  folder_ = folder;
  std::vector<std::string> words{"engine", "--control", folder_ + "/control", "--summary", folder_ + "/summary"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> args;
  for (std::string& word : words) args.push_back(word.data());
  args.push_back(nullptr);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become_engine(args.data(), parent);
  if (pid_ < 0) {
    const int error = errno;
    has_ended_ = true;
    clear();
    fail("start the engine", std::strerror(error), "see ulimit -u");
  }
  exit_ = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  try {
    if (!exit_.valid()) fail("watch the engine", std::strerror(errno), "needs Linux 5.3");
    counts();
  } catch (const SetupError&) {
    clear();
    throw;
  }
}

EngineProcess::~EngineProcess() { clear(); }

void EngineProcess::clear() noexcept {
  if (!has_ended_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status_, 0);
    has_ended_ = true;
  }
  std::error_code ignored;  // what is left in the folder for temporary files goes with the others there
  std::filesystem::remove_all(folder_, ignored);
}

bool EngineProcess::ends_within(int timeout_ms) noexcept {
  pollfd wait{exit_.get(), POLLIN, 0};
  if (!has_ended_ && poll(&wait, 1, timeout_ms) > 0) has_ended_ = waitpid(pid_, &status_, 0) == pid_;
  return has_ended_;
}

std::string EngineProcess::how_it_ended() const {
  if (WIFSIGNALED(status_)) return "was ended by signal " + std::to_string(WTERMSIG(status_));
  return "ended with exit code " + std::to_string(WEXITSTATUS(status_)) + "; what it said stands above";
}

UniqueFd EngineProcess::connect() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder_ + "/control";
  if (path.size() >= sizeof address.sun_path) fail("reach the engine at " + path, "the path is too long", "set TMPDIR");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  for (const std::uint64_t begin_ns = monotonic_ns(); monotonic_ns() - begin_ns < kAnswerLimit_ms * 1'000'000ull;) {
    UniqueFd connected(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(connected.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return connected;
    if (ends_within(kLook_ms)) fail("reach the engine", "it " + how_it_ended());
  }
  fail("reach the engine", "it does not listen at " + path);
}

// A line, and the line that answers it; nothing where the engine has hung up. It answers once it captures.
std::optional<std::string> EngineProcess::exchange(const std::string& line) {
  if (send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) return {};
  std::string answer;
  pollfd wait{socket_.get(), POLLIN, 0};
  while (poll(&wait, 1, kAnswerLimit_ms) > 0) {
    std::array<char, 4096> part;
    const ssize_t bytes = recv(socket_.get(), part.data(), part.size(), 0);
    if (bytes <= 0) return {};
    answer.append(part.data(), static_cast<std::size_t>(bytes));
    if (answer.back() == '\n') return answer;
  }
  fail("ask the engine", "it does not answer");
}

// An engine hangs up on who was silent for ten minutes: it is asked anew.
std::string EngineProcess::ask(const std::string& line) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!socket_.valid()) socket_ = connect();
    if (const auto answer = exchange(line + "\n")) return *answer;
    socket_.reset();
  }
  fail("ask the engine", ends_within(kStopLimit_ms) ? "it " + how_it_ended() : "it hung up");
}

EngineProcess::Counts EngineProcess::counts() {
  const Jansson status(json_loads(ask(R"({"command":"status"})").c_str(), 0, nullptr));
  return counts_of(json_object_get(status.get(), "totals"));
}

WorkerSample EngineProcess::sample() {
  WorkerSample sample;
  const Counts now = counts();
  sample.packets = sample.ours = now.analysed;
  sample.bytes = now.bytes;
  sample.at_ns = monotonic_ns();
  sample.cost.cpu_ns = cpu_ns(pid_, CpuClock::exact);
  sample.cost.user_ns = cpu_ns(pid_, CpuClock::user);
  sample.cost.kernel_ns = cpu_ns(pid_, CpuClock::ticks) - sample.cost.user_ns;
  return sample;
}

InterfaceUsed EngineProcess::used() {
  const Jansson status(json_loads(ask(R"({"command":"status"})").c_str(), 0, nullptr));
  const json_t* const first = json_array_get(json_object_get(status.get(), "interfaces"), 0);
  const auto text = [first](const char* name) -> std::string {
    const char* const value = json_string_value(json_object_get(first, name));
    return value != nullptr ? value : "";
  };
  return interface_used(xsk::read_link(text("interface")), text("mode"),
                        static_cast<std::uint32_t>(number(first, "queues")));
}

EngineProcess::Counts EngineProcess::stop() {
  kill(pid_, SIGINT);
  if (!ends_within(kStopLimit_ms)) fail("end the engine", "it goes on");
  if (!WIFEXITED(status_) || WEXITSTATUS(status_) != 0) fail("end the engine", "it " + how_it_ended());
  const Jansson summary(json_load_file((folder_ + "/summary").c_str(), 0, nullptr));
  if (!summary) fail("read the engine's summary", "it is not JSON");
  return counts_of(json_object_get(summary.get(), "totals"));
}

}  // namespace engine::bench
