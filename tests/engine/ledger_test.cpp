// The ledger's arithmetic: it must be able to fail.
#include "engine/ledger.h"

#include <gtest/gtest.h>

#include "engine/report.h"

namespace engine {
namespace {

QueueLedger closed() {
  QueueLedger queue;
  queue.interface = "eth0";
  queue.mode = "copy";
  queue.xdp_seen = 100;
  queue.passed = 5;
  queue.blocked = 3;
  queue.no_socket = 2;
  queue.redirected = 90;
  queue.rx_packets = 80;
  queue.rx_dropped = 6;
  queue.rx_ring_full = 4;
  queue.analysed = 79;
  queue.skipped = 1;
  return queue;
}

TEST(Ledger, IsClosedWhenEveryPartyAgrees) { EXPECT_EQ(closed().unaccounted(), 0u); }

TEST(Ledger, ShowsAFrameLostAtEachStageAsOne) {
  for (std::uint64_t QueueLedger::*place : {&QueueLedger::passed, &QueueLedger::rx_dropped, &QueueLedger::analysed}) {
    QueueLedger queue = closed();
    queue.*place -= 1;
    EXPECT_EQ(queue.unaccounted(), 1u);
  }
}

TEST(Ledger, DoesNotLetALossHideAGain) {
  QueueLedger queue = closed();
  queue.passed -= 1;    // a frame that nobody counted
  queue.analysed += 1;  // and one that was counted twice
  EXPECT_EQ(queue.unaccounted(), 2u);
}

TEST(Ledger, TotalsDoNotCancelAcrossQueues) {
  QueueLedger less = closed(), more = closed();
  less.analysed -= 1;
  more.analysed += 1;
  RunLedger run;
  run.queues = {less, more};
  EXPECT_NE(run.json().find("\"totals\":{"), std::string::npos);
  const std::string totals = run.json().substr(run.json().find("\"totals\""));
  EXPECT_NE(totals.find("\"unaccounted\":2"), std::string::npos) << totals;
}

TEST(Ledger, ExplanationsAreNeverAdded) {
  QueueLedger queue = closed();
  queue.fill_ring_empty = 6;
  queue.invalid_descs = 1;
  EXPECT_EQ(queue.unaccounted(), 0u);
}

TEST(Ledger, RedirectErrorsThatCannotBeCountedAreNull) {
  RunLedger run;
  run.queues = {closed()};
  run.queues.front().redirect_errors.reset();
  EXPECT_NE(run.json().find("\"redirect_errors\":null"), std::string::npos);
}

TEST(Report, LeavesOutColumnsWithoutAFigureButNeverTheResidual) {
  RunLedger run;
  run.queues = {closed()};
  const std::string table = ledger_table(run);
  EXPECT_NE(table.find("unaccounted"), std::string::npos);
  EXPECT_NE(table.find("blocked"), std::string::npos);
  EXPECT_EQ(table.find("rate_limited"), std::string::npos);
}

}  // namespace
}  // namespace engine
