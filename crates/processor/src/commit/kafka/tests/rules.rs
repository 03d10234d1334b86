//! The rules of one transaction, each by the behaviour that would be wrong without it.

use llm_optimizer_engine::core::PartitionId;

use super::{super::*, rig::*};
use crate::commit::CommitNumber;

#[test]
fn rule_0_the_transaction_is_committed_only_when_nothing_is_in_flight() {
    let mut rig = Rig::running();
    assert_eq!(rig.cut(), "begin produce send-offsets");
    assert_eq!(rig.answer("send-offsets"), "");
    assert_eq!(rig.answer("produce"), "commit");
    let mut rig = Rig::sending();
    assert_eq!(rig.answer("produce"), "");
    assert_eq!(rig.answer("send-offsets"), "commit");
    assert_eq!(rig.answer("commit"), "acknowledge");
}

#[test]
fn rule_1_every_transaction_sends_offsets_of_every_partition() {
    let rig = Rig::sending();
    let (offsets, _) = rig.sent();
    let named: Vec<_> = offsets.iter().map(|offset| offset.partition.0).collect();
    assert_eq!(named, [0, 1]);
}

#[test]
#[should_panic(expected = "a cut names every owned partition")]
fn rule_1_a_cut_that_leaves_a_partition_out_is_a_broken_promise() {
    let mut rig = Rig::running();
    rig.progress(0, 0, true);
    rig.progress(20, 100, true);
    rig.freeze(&[0]);
}

#[test]
fn rule_2_each_commit_counts_one_more_and_says_who_made_it() {
    let mut rig = Rig::committing();
    let seq = |rig: &Rig| rig.sent().0.iter().map(|o| o.metadata.commit_seq).collect::<Vec<_>>();
    assert_eq!(seq(&rig), [2, 2], "the process before committed 1");
    rig.answer("commit");
    rig.cut();
    assert_eq!(seq(&rig), [3, 3]);
    let metadata = &rig.sent().0[0].metadata;
    assert_eq!(
        (metadata.instance_id.as_str(), metadata.incarnation, metadata.fingerprint),
        ("a", INCARNATION, FINGERPRINT)
    );
}

#[test]
fn rule_4_a_commit_uses_the_membership_copied_at_the_last_rebalance() {
    let mut rig = Rig::sending();
    assert_eq!(rig.sent().1, Membership(1));
    rig.answer("produce");
    rig.answer("send-offsets");
    rig.answer("commit");
    rig.grant(&[], 2);
    rig.cut();
    assert_eq!(rig.sent().1, Membership(2));
    rig.answer("produce");
    rig.answer("send-offsets");
    rig.answer("commit");
    rig.progress(0, 0, true);
    rig.revoke(&[1], 3);
    rig.freeze(&[0, 1]);
    assert_eq!(rig.sent().1, Membership(3), "the copy of the revoke's start");
}

#[test]
fn rule_5_an_unknown_outcome_is_looked_up_by_a_new_producer() {
    let mut rig = Rig::committing();
    assert_eq!(rig.fail("commit", Failure::Ambiguous), "destroy init");
    assert_eq!(rig.answer("init"), "fetch");
    assert_eq!(rig.fetched(&[StoredOffset::Unstable, known(1, 5)]), "", "not decided yet");
    assert_eq!(rig.pass(100), "fetch");
    assert_eq!(rig.fetched(&[known(2, INCARNATION), known(2, INCARNATION)]), "acknowledge");
}

#[test]
fn rule_5_what_was_not_committed_is_sent_again_under_its_number() {
    let mut rig = Rig::committing();
    let first = rig.sent().0.to_vec();
    rig.fail("commit", Failure::Ambiguous);
    rig.answer("init");
    assert_eq!(rig.fetched(&[known(1, 5), known(1, 5)]), "begin produce send-offsets");
    assert_eq!(rig.sent().0, first, "the same offsets under the same numbers");
    assert!(
        matches!(rig.last("produce"), KafkaCommand::Produce { number, .. } if number.0 == 1),
        "the same bytes"
    );
}

#[test]
fn rule_5_a_commit_of_somebody_else_means_the_state_is_lost() {
    for stored in [
        [known(2, 8), known(2, 8)],
        [known(3, INCARNATION), known(3, INCARNATION)],
        [known(2, INCARNATION), known(1, 5)],
        [StoredOffset::Absent, StoredOffset::Absent],
    ] {
        let mut rig = Rig::committing();
        rig.fail("commit", Failure::Fatal);
        rig.answer("init");
        assert_eq!(rig.fetched(&stored), "pause drop fetch", "{stored:?}");
        assert_eq!(rig.acknowledged(), []);
    }
}

#[test]
fn rule_5_a_failing_initialization_is_tried_again_with_another_producer() {
    let mut rig = Rig::committing();
    rig.fail("commit", Failure::Ambiguous);
    assert_eq!(rig.fail("init", Failure::Ambiguous), "destroy");
    assert_eq!(rig.pass(100), "init");
    assert_eq!(rig.answer("init"), "fetch");
    assert_eq!(rig.fail("fetch", Failure::Ambiguous), "");
    assert_eq!(rig.pass(100), "fetch");
}

#[test]
fn rule_6_a_definite_abort_keeps_state_and_sends_again() {
    let mut rig = Rig::sending();
    assert_eq!(rig.fail("send-offsets", Failure::Abortable), "abort");
    assert_eq!(rig.answer("abort"), "");
    assert_eq!(rig.pass(100), "begin produce send-offsets");
    assert_eq!(rig.fail("produce", Failure::Abortable), "abort");
    rig.answer("abort");
    assert_eq!(rig.pass(100), "", "the pause doubles");
    assert_eq!(rig.grant(&[], 2), "begin produce send-offsets", "a new membership ends it");
    assert_eq!(rig.sent().1, Membership(2));
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge");
    assert_eq!(rig.acknowledged(), [CommitNumber(1)]);
}

#[test]
fn rule_6_an_abort_that_fails_is_an_unknown_outcome() {
    let mut rig = Rig::sending();
    rig.fail("produce", Failure::Abortable);
    assert_eq!(rig.fail("abort", Failure::Abortable), "destroy init");
}

#[test]
fn a_step_that_may_be_repeated_is_repeated_alone() {
    let mut rig = Rig::committing();
    assert_eq!(rig.fail("commit", Failure::Retriable), "");
    assert_eq!(rig.pass(99), "");
    assert_eq!(rig.pass(1), "commit");
    assert_eq!(rig.answer("commit"), "acknowledge");
}

#[test]
fn rule_7_revoked_partitions_are_committed_then_released() {
    let mut rig = Rig::sending();
    rig.progress(5, 30, true);
    assert_eq!(rig.revoke(&[1], 2), "pause");
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge cut", "what came after the cut, too");
    rig.freeze(&[0, 1]);
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge release");
    assert!(!rig.machine.is_running(), "an instance without all partitions does not count");
}

#[test]
fn rule_7_a_revoke_that_takes_five_seconds_is_a_loss() {
    let mut rig = Rig::sending();
    rig.revoke(&[1], 2);
    assert_eq!(rig.pass(4_999), "");
    assert_eq!(rig.pass(1), "drop release destroy init", "the transaction is aborted by that");
    assert_eq!(rig.answer("init"), "");
    assert_eq!(rig.grant(&[1], 3), "fetch");
    rig.recover(&[known(1, 5), known(1, 5)]);
    assert!(rig.machine.is_running());
}

#[test]
fn rule_7_lost_partitions_are_never_committed() {
    let mut rig = Rig::sending();
    assert_eq!(rig.tell(KafkaEvent::Lost), "pause drop destroy init");
    let mut rig = Rig::committing();
    let late = rig.ticket("commit");
    rig.tell(KafkaEvent::Lost);
    assert_eq!(rig.tell(KafkaEvent::Committed { ticket: late }), "", "nobody waits for it");
    assert_eq!(rig.acknowledged(), []);
    let mut rig = Rig::running();
    assert_eq!(rig.tell(KafkaEvent::Lost), "pause drop", "no transaction was open");
    assert_eq!(rig.grant(&[0, 1], 2), "fetch");
}

#[test]
fn rule_8_a_fenced_process_closes_everything_and_waits_before_it_joins() {
    let mut rig = Rig::committing();
    assert_eq!(rig.fail("commit", Failure::Fenced), "pause drop close destroy");
    assert_eq!(rig.pass(60_000), "", "what was told of time before may be old");
    assert_eq!(rig.pass(999), "");
    assert_eq!(rig.grant(&[0, 1], 9), "", "of a consumer that is closed");
    assert_eq!(rig.pass(1), "init");
    assert_eq!(rig.answer("init"), "join");
    assert_eq!(rig.tell(KafkaEvent::Fenced), "drop close destroy");
    rig.pass(0);
    assert_eq!(rig.pass(1_999), "");
    assert_eq!(rig.pass(1), "init");
}

#[test]
fn rule_8_the_third_time_within_five_minutes_the_process_exits() {
    let mut rig = Rig::new();
    rig.tell(KafkaEvent::Start);
    for _ in 0..2 {
        assert_eq!(rig.fail("init", Failure::Fenced), "drop close destroy");
        rig.pass(0);
        rig.pass(2_000);
    }
    rig.now_ms = 299_999;
    rig.pass(0);
    assert_eq!(rig.fail("init", Failure::Fenced), "drop close destroy exit");
    assert!(matches!(
        rig.last("exit"),
        KafkaCommand::Exit { reason: ExitReason::FencedRepeatedly { times: 3, .. } }
    ));
}

#[test]
fn rule_8_being_fenced_long_ago_does_not_count() {
    let mut rig = Rig::new();
    rig.tell(KafkaEvent::Start);
    for _ in 0..5 {
        assert_eq!(rig.fail("init", Failure::Fenced), "drop close destroy");
        rig.pass(0);
        rig.pass(200_000);
    }
}

#[test]
fn rule_9_a_slow_commit_halves_the_size_of_the_next() {
    let mut rig = Rig::sending();
    rig.pass(2_001);
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge shrunk");
    assert_eq!(*rig.last("shrunk"), KafkaCommand::CommitsShrunk { max_bytes: 4 << 20 });
    assert_eq!(rig.progress(1, 4 << 20, true), "cut");
    let mut rig = Rig::sending();
    rig.pass(2_000);
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge");
}

#[test]
fn exchange_local_an_instance_without_all_partitions_does_not_count() {
    let mut rig = Rig::new();
    rig.tell(KafkaEvent::Start);
    rig.answer("init");
    assert_eq!(rig.grant(&[0], 1), "");
    assert_eq!(rig.progress(2_000, 100, true), "", "nothing is cut");
    assert_eq!(rig.grant(&[1], 2), "fetch");
}

#[test]
fn exchange_local_state_is_kept_while_partitions_are_away_and_nobody_commits() {
    let mut rig = Rig::running();
    assert_eq!(rig.revoke(&[1], 2), "pause release", "nothing waited");
    assert_eq!(rig.grant(&[1], 3), "fetch");
    assert_eq!(rig.fetched(&[known(1, 5), known(1, 5)]), "go-on resume");
    let KafkaCommand::GoOn { starts } = rig.last("go-on") else { unreachable!() };
    assert_eq!(starts.len(), 1);
    assert_eq!((starts[0].partition, starts[0].position), (PartitionId(1), StartAt::Offset(10)));
}

#[test]
fn exchange_local_state_is_dropped_if_somebody_committed_meanwhile() {
    let mut rig = Rig::running();
    rig.revoke(&[1], 2);
    rig.grant(&[1], 3);
    assert_eq!(rig.fetched(&[known(1, 5), known(2, 8)]), "drop measure");
}

#[test]
fn exchange_local_a_partition_that_appears_later_begins_at_its_beginning() {
    let mut rig = Rig::running();
    assert_eq!(rig.tell(KafkaEvent::Topology { partitions: partitions(&[0, 1, 2]) }), "pause");
    assert_eq!(rig.grant(&[2], 2), "fetch");
    let offsets = [known(1, 5), known(1, 5), StoredOffset::Absent];
    assert_eq!(rig.fetched(&offsets), "go-on resume");
    let KafkaCommand::GoOn { starts } = rig.last("go-on") else { unreachable!() };
    assert_eq!((starts[0].partition, starts[0].position), (PartitionId(2), StartAt::Beginning));
}

#[test]
fn shutdown_commits_what_waits_and_closes() {
    let mut rig = Rig::running();
    rig.progress(5, 0, true);
    assert_eq!(rig.tell(KafkaEvent::Shutdown), "pause cut");
    rig.freeze(&[0, 1]);
    rig.answer("produce");
    rig.answer("send-offsets");
    assert_eq!(rig.answer("commit"), "acknowledge drop close destroy finished");
    assert_eq!(rig.pass(10_000), "");
    let mut rig = Rig::new();
    assert_eq!(rig.tell(KafkaEvent::Shutdown), "drop close destroy finished");
}
