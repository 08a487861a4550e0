#include "engine/check/check.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/base/unique_fd.h"
#include "engine/check/dry_run.h"
#include "engine/check/editor.h"
#include "engine/check/measure.h"
#include "engine/check/report.h"
#include "engine/check/settings.h"
#include "engine/gen/capture_file.h"
#include "engine/gen/traffic.h"
#include "engine/session.h"
#include "plugins/author.h"
#include "plugins/files.h"

namespace engine::check {
namespace {

using plugins::Finding;
using plugins::Severity;

constexpr std::size_t kBuiltInPackets = 16384;
constexpr std::uint64_t kBuiltInGap_ns = 200'000;                      // 3.3 s in all: some intervals end
constexpr std::uint64_t kBuiltInEpoch_ns = 1'767'268'800'000'000'000;  // 2026-01-01T12:00:00Z
constexpr double kNoticedGarbage_bytes = 1;

// The built-in traffic as a capture file, in memory.
class BuiltInTraffic {
 public:
  BuiltInTraffic() : file_(memfd_create("built-in traffic", MFD_CLOEXEC)) {
    if (!file_.valid()) throw SetupError(ExitCode::runtime_failure, "make a file in memory", std::strerror(errno));
    const gen::FrameSet frames = gen::builtin_frames(kBuiltInPackets);
    gen::CaptureWriter writer(path());
    for (std::size_t i = 0; i < frames.offsets.size(); ++i)
      writer.write(kBuiltInEpoch_ns + i * kBuiltInGap_ns,
                   std::span(frames.memory).subspan(frames.offsets[i], frames.lengths[i]));
    writer.close();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

 private:
  UniqueFd file_;
};

// "…FILE.lua:LINE: text", as the runtime writes errors, taken apart.
Finding finding_of(Severity severity, const char* rule, std::string_view message, const std::string& file) {
  Finding finding{severity, rule, file, 0, std::string(message)};
  for (std::size_t at = 0; (at = message.find(".lua:", at)) != message.npos; ++at) {
    std::size_t from = message.rfind(' ', at);
    from = from == message.npos ? 0 : from + 1;
    char* end = nullptr;
    const std::string tail(message.substr(at + 5));
    const long line = std::strtol(tail.c_str(), &end, 10);
    if (line <= 0 || *end != ':') continue;
    finding.file = message.substr(from, at + 4 - from);
    finding.line = static_cast<int>(line);
    finding.text = end[1] == ' ' ? end + 2 : end + 1;
    break;
  }
  // Lua shortens long paths from the left.
  if (finding.file.starts_with("...") && file.ends_with(finding.file.substr(3))) finding.file = file;
  // How often it happened is told elsewhere.
  if (const std::size_t more = finding.text.rfind(" (and ");
      more != std::string::npos && finding.text.ends_with("more errors)"))
    finding.text.resize(more);
  return finding;
}

void add(Report& report, Finding finding) {
  // What the lint said at this line and the runtime says with more words is one finding.
  const auto same = [&](const Finding& known) {
    return known.file == finding.file && known.line == finding.line && finding.text.starts_with(known.text);
  };
  if (std::none_of(report.findings.begin(), report.findings.end(), same)) report.findings.push_back(std::move(finding));
}

// The plugin, and the modules beside it that it requires by name.
void read_for_mistakes(const Settings& settings, Report& report) {
  std::vector<std::string> paths{settings.plugin.path};
  for (std::size_t i = 0; i < paths.size(); ++i) {
    std::string code;
    if (const int error = plugins::read_text(paths[i], code); error != 0)
      throw SetupError(ExitCode::bad_usage, "plugin " + paths[i], std::strerror(error));
    plugins::Lint lint = plugins::lint(code, {paths[i], settings.plugin.trusted, i > 0});
    for (Finding& finding : lint.findings) add(report, std::move(finding));
    for (const std::string& name : lint.modules) {
      const std::string path = plugins::file_beside(paths[i], name);
      std::string text;
      if (std::find(paths.begin(), paths.end(), path) == paths.end() && plugins::read_text(path, text) == 0)
        paths.push_back(path);
    }
  }
}

// A plugin that is late three times in a minute rests. One in a hundred is none of the machine's whims.
void add_late(Report& report, const Late& late, const std::string& what) {
  if (late.count < 3 || late.count * 100 <= late.of) return;
  add(report, {Severity::error, "deadline", report.plugin, 0,
               std::to_string(late.count) + " of " + std::to_string(late.of) + " " + what + " took longer than the " +
                   std::to_string(report.deadline_ns / 1'000'000) + " ms after which they are cut off live"});
}

void add_measured(Report& report, const Measurement& m) {
  for (const std::string& error : m.error_texts) add(report, finding_of(Severity::error, "run", error, report.plugin));
  for (const std::string& error : m.kept_errors) add(report, finding_of(Severity::error, "kept", error, report.plugin));
  for (const plugins::Kept& kept : m.kept) {
    if (kept.is_key)
      add(report, {Severity::error, "key", report.plugin, 0,
                   "an " + kept.what + " of a packet is a table key in " + kept.name +
                       " and never found again; use p.src:key()"});
  }
  for (const plugins::TraceAbort& abort : m.aborts) {
    std::string text = "not compiled: " + abort.reason;
    if (!abort.advice.empty()) text += ": " + abort.advice;
    Finding finding = finding_of(abort.given_up ? Severity::warning : Severity::advice, "jit",
                                 abort.place + ": " + text, report.plugin);
    add(report, std::move(finding));
  }
  add_late(report, m.late_batches, "batches of 64 packets");
  add_late(report, m.late_ticks, "calls of on_tick");
  if (m.packets == 0) add(report, {Severity::advice, "filter", report.plugin, 0, "saw none of the packets"});
  if (m.garbage_bytes < kNoticedGarbage_bytes) return;
  char text[96];
  std::snprintf(text, sizeof text, "makes %.0f bytes of garbage per packet", m.garbage_bytes);
  add(report, {Severity::advice, "garbage", report.plugin, 0, text});
}

// False if the plugin does not load: then there is nothing to measure.
bool measure_it(const Settings& settings, const std::string& pcap_path, Report& report) {
  cli::Settings run;
  run.plugins.push_back(settings.plugin);
  plugins::PluginSpec spec = plugin_specs(run).front();
  spec.patience = kPatience;
  report.deadline_ns = spec.deadline_ns;
  const Packets packets = read_packets(pcap_path);
  const WarmUpTraffic traffic;
  try {
    report.measurement = measure(spec, packets, traffic.view());
  } catch (const SetupError& error) {
    std::string_view text = error.what();
    const std::string prefix = "plugin " + spec.name + ": ";
    if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
    add(report, finding_of(Severity::error, "load", text, report.plugin));
    return false;
  }
  add_measured(report, *report.measurement);
  return true;
}

bool has_syntax_error(const Report& report) {
  return std::any_of(report.findings.begin(), report.findings.end(),
                     [](const Finding& f) { return f.rule == "syntax"; });
}

Report check(const Settings& settings) {
  Report report;
  report.plugin = settings.plugin.path;
  report.memory_limit_bytes = settings.plugin.memory_bytes;
  report.strict = settings.strict;
  read_for_mistakes(settings, report);
  if (has_syntax_error(report)) return report;
  std::optional<BuiltInTraffic> built_in;
  if (settings.pcap_path.empty()) built_in.emplace();
  const std::string pcap_path = built_in ? built_in->path() : settings.pcap_path;
  report.traffic = built_in ? "the built-in traffic" : settings.pcap_path;
  if (!measure_it(settings, pcap_path, report)) return report;
  report.run = dry_run(settings.plugin, pcap_path, settings.lines);
  // The plugin's own words are no finding; an error of its code names a line.
  std::erase_if(report.run.log, [&](const std::string& line) {
    Finding finding = finding_of(Severity::error, "run", line, report.plugin);
    if (finding.line == 0) return false;
    add(report, std::move(finding));
    return true;
  });
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  return report;
}

void print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    throw SetupError(ExitCode::runtime_failure, "write to stdout", std::strerror(errno));
}

}  // namespace

ExitCode run(std::span<char* const> args) {
  const Settings settings = parse_settings(args);
  if (settings.help || settings.definitions || settings.reference) {
    print(settings.help ? help_text() : settings.definitions ? plugins::definitions() : plugins::reference());
    return ExitCode::done;
  }
  if (!settings.editor_folder.empty()) {
    print(set_up_editor(settings.editor_folder));
    return ExitCode::done;
  }
  const Report report = check(settings);
  print(settings.json ? json_of(report) : text_of(report));
  return failed(report) ? ExitCode::bad_usage : ExitCode::done;
}

}  // namespace engine::check
