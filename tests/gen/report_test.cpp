// The report's two forms.
#include "engine/gen/report.h"

#include <gtest/gtest.h>

namespace engine::gen::test {
namespace {

Report sample() {
  Report report;
  report.target = "eth0";
  report.method = "tx";
  report.seconds = 2;
  report.total = {3000, 192'000};
  report.queues = {{0, {1000, 64'000}}, {2, {2000, 128'000}}};
  report.kinds[static_cast<std::size_t>(Kind::udp4)] = {3000, 192'000};
  report.stamped = 3000;
  report.not_taken = NotTaken{7, 2990, 5};
  return report;
}

TEST(Report, TheLineHasWhatWasSentAndWhatWasNotTaken) {
  EXPECT_EQ(to_line(sample()),
            "eth0: sent 3000 packets, 192000 bytes in 2.000 s by tx: 1500 packets/s; by queue: 0=1000 2=2000; "
            "not taken: tx_dropped 7 (xdp_xmit_errors 5 among them)");
}

TEST(Report, JsonHasTheSameFigures) {
  Report report = sample();
  report.notes = {"a \"note\""};
  EXPECT_EQ(to_json(report),
            R"({"type":"gen","target":"eth0","method":"tx","seconds":2,"sent":3000,"bytes":192000,"pps":1500,)"
            R"("queues":[{"queue":0,"sent":1000,"bytes":64000},{"queue":2,"sent":2000,"bytes":128000}],)"
            R"("kinds":{"udp4":{"sent":3000,"bytes":192000}},"replayed":0,"stamped":3000,"unfinished":0,)"
            R"("not_taken":{"tx_dropped":7,"xdp_xmit_errors":5,"xdp_xmit":2990},"notes":["a \"note\""],)"
            R"("interrupted":false})");
}

TEST(Report, AFileHasNothingThatWasNotTaken) {
  Report report = sample();
  report.not_taken.reset();
  EXPECT_EQ(to_line(report).find("not taken"), std::string::npos);
  EXPECT_EQ(to_json(report).find("not_taken"), std::string::npos);
}

}  // namespace
}  // namespace engine::gen::test
