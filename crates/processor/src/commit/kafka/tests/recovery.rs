//! The steps of recovery, each by what would be wrong without it.

use llm_optimizer_engine::core::PartitionId;

use super::{super::*, rig::*};

fn recovering() -> Rig {
    let mut rig = Rig::new();
    rig.start_and_join();
    rig
}

fn exit_reason(rig: &Rig) -> &ExitReason {
    match rig.last("exit") {
        KafkaCommand::Exit { reason } => reason,
        _ => unreachable!(),
    }
}

#[test]
fn step_1_open_transactions_of_this_name_are_aborted_before_anything_is_asked() {
    let mut rig = Rig::new();
    assert_eq!(rig.tell(KafkaEvent::Start), "init");
    assert_eq!(rig.answer("init"), "join");
    assert_eq!(rig.grant(&[0, 1], 1), "fetch");
}

#[test]
fn step_2_offsets_are_asked_for_again_while_a_transaction_is_undecided() {
    let mut rig = recovering();
    assert_eq!(rig.fetched(&[known(1, 5), StoredOffset::Unstable]), "");
    assert_eq!(rig.pass(100), "fetch");
    assert_eq!(rig.fetched(&[known(1, 5), known(1, 5)]), "measure");
}

#[test]
fn step_3_nothing_below_the_measured_end_may_be_missing() {
    let mut rig = recovering();
    rig.fetched(&[known(1, 5), known(1, 5)]);
    assert_eq!(rig.answer("measure"), "read");
    let KafkaCommand::ReadChangelog { groups, stable_by_ms, .. } = rig.last("read") else {
        unreachable!()
    };
    assert_eq!((groups[0].until, *stable_by_ms), (200, 16_000));
    let ticket = rig.ticket("read");
    rig.tell(KafkaEvent::ChangelogBlocked { ticket });
    assert_eq!(*exit_reason(&rig), ExitReason::ChangelogBlocked);
}

#[test]
fn step_4_a_local_copy_is_used_only_if_it_is_a_beginning_of_the_log() {
    let copy = |identity, offset, written_ms| LocalCopy { identity, offset, written_ms };
    let week = settings().tombstone_retention_ms;
    for (local, expected) in [
        (copy(1, 150, 0), ReadFrom::LocalCopy(150)),
        (copy(1, 100, 0), ReadFrom::LocalCopy(100)),
        (copy(1, 200, 0), ReadFrom::LocalCopy(200)),
        (copy(2, 150, 0), ReadFrom::LogStart(100)), // of another topic
        (copy(1, 99, 0), ReadFrom::LogStart(100)),
        (copy(1, 201, 0), ReadFrom::LogStart(100)), // ahead
        (copy(1, 150, -week / 2), ReadFrom::LogStart(100)),
        (copy(1, 150, 1 - week / 2), ReadFrom::LocalCopy(150)),
        (copy(1, 150, 60_000), ReadFrom::LocalCopy(150)), // clocks are not that exact
        (copy(1, 150, 60_001), ReadFrom::LogStart(100)),  // from the future
    ] {
        let mut rig = recovering();
        rig.fetched(&[known(1, 5), known(1, 5)]);
        let ticket = rig.ticket("measure");
        rig.tell(KafkaEvent::ChangelogEnd { ticket, groups: vec![group(Some(local))] });
        let KafkaCommand::ReadChangelog { groups, .. } = rig.last("read") else { unreachable!() };
        assert_eq!(groups[0].from, expected, "{local:?}");
    }
}

#[test]
fn step_6_partitions_begin_exactly_at_the_offsets_of_the_stable_fetch() {
    let mut rig = recovering();
    rig.recover(&[known(3, 5), known(4, 5)]);
    let KafkaCommand::Assign { starts } = rig.last("assign") else { unreachable!() };
    let at = |start: &TaskStart| (start.partition.0, start.position);
    assert_eq!(
        starts.iter().map(at).collect::<Vec<_>>(),
        [(0, StartAt::Offset(30)), (1, StartAt::Offset(40))]
    );
    assert_eq!(starts[0].progress.as_ref().unwrap().watermarks, [Some(5)]);
}

#[test]
fn a_group_that_never_committed_starts_as_configured() {
    let mut rig = recovering();
    rig.recover(&[StoredOffset::Absent, StoredOffset::Absent]);
    let KafkaCommand::Assign { starts } = rig.last("assign") else { unreachable!() };
    assert!(starts.iter().all(|s| s.position == StartAt::Configured && s.progress.is_none()));
}

#[test]
fn a_partition_the_others_were_committed_without_begins_at_its_beginning() {
    let mut rig = recovering();
    rig.recover(&[known(3, 5), StoredOffset::Absent]);
    let KafkaCommand::Assign { starts } = rig.last("assign") else { unreachable!() };
    assert_eq!(starts[1].position, StartAt::Beginning);
}

#[test]
fn positions_without_their_state_are_refused() {
    let mut rig = recovering();
    rig.fetched(&[known(1, 5), known(1, 5)]);
    rig.answer("measure");
    let ticket = rig.ticket("read");
    assert_eq!(rig.tell(KafkaEvent::ChangelogRead { ticket, newest: None }), "fetch");
    rig.fetched(&[known(1, 5), known(1, 5)]);
    assert_eq!(*exit_reason(&rig), ExitReason::ChangelogMissing);
}

#[test]
fn state_without_its_positions_is_refused() {
    let mut rig = recovering();
    rig.fetched(&[StoredOffset::Absent, StoredOffset::Absent]);
    rig.answer("measure");
    let ticket = rig.ticket("read");
    let newest = Some(ChangelogMark { positions: vec![(PartitionId(0), 10)] });
    rig.tell(KafkaEvent::ChangelogRead { ticket, newest });
    rig.fetched(&[StoredOffset::Absent, StoredOffset::Absent]);
    assert_eq!(*exit_reason(&rig), ExitReason::OffsetsMissing);
}

#[test]
fn state_of_another_commit_than_the_positions_is_refused() {
    for (second, reflected) in [(20, Some(20)), (9, Some(9))] {
        let mut rig = recovering();
        rig.fetched(&[known(1, 5), known(1, 5)]);
        rig.answer("measure");
        let ticket = rig.ticket("read");
        let positions = vec![(PartitionId(0), 10), (PartitionId(1), second)];
        rig.tell(KafkaEvent::ChangelogRead { ticket, newest: Some(ChangelogMark { positions }) });
        rig.fetched(&[known(1, 5), known(1, 5)]);
        let (partition, committed) = (PartitionId(1), Some(10));
        let expected = ExitReason::StateDiffers { partition, committed, reflected };
        assert_eq!(*exit_reason(&rig), expected);
    }
}

#[test]
fn state_that_is_newer_than_the_positions_is_looked_up_again() {
    let mut rig = recovering();
    rig.fetched(&[known(1, 5), known(1, 5)]);
    rig.answer("measure");
    let ticket = rig.ticket("read");
    let positions = vec![(PartitionId(0), 20), (PartitionId(1), 20)];
    let newest = Some(ChangelogMark { positions });
    assert_eq!(rig.tell(KafkaEvent::ChangelogRead { ticket, newest }), "fetch");
    let committed_meanwhile = [known(2, 8), known(2, 8)];
    assert_eq!(rig.fetched(&committed_meanwhile), "drop measure");
}

#[test]
fn offsets_of_other_programs_and_other_configurations_are_refused() {
    let mut rig = recovering();
    rig.fetched(&[known(1, 5), StoredOffset::Foreign { position: 7 }]);
    let foreign = ExitReason::ForeignOffsets { partition: PartitionId(1), position: 7 };
    assert_eq!(*exit_reason(&rig), foreign);

    let mut rig = recovering();
    let mut other = known(1, 5);
    if let StoredOffset::Known { metadata, .. } = &mut other {
        metadata.fingerprint = 10;
    }
    rig.fetched(&[known(1, 5), other]);
    let differs = ExitReason::FingerprintDiffers { stored: 10, configured: FINGERPRINT };
    assert_eq!(*exit_reason(&rig), differs);
}

#[test]
fn input_that_is_gone_ends_the_run() {
    let mut rig = Rig::running();
    let gone = KafkaEvent::PositionGone { partition: PartitionId(0), position: 10, log_start: 50 };
    assert_eq!(rig.tell(gone), "pause drop close destroy exit");
    assert!(exit_reason(&rig).to_string().contains("offset 10 is to be read next"));
}

#[test]
fn partitions_revoked_during_recovery_go_at_once_and_it_begins_anew() {
    let mut rig = recovering();
    rig.fetched(&[known(1, 5), known(1, 5)]);
    let late = rig.ticket("measure");
    assert_eq!(rig.revoke(&[0], 2), "drop release");
    let answer = KafkaEvent::ChangelogEnd { ticket: late, groups: vec![group(None)] };
    assert_eq!(rig.tell(answer), "", "nobody waits for it");
    assert_eq!(rig.grant(&[0], 3), "fetch");
}

#[test]
fn what_fails_during_recovery_is_asked_again() {
    let mut rig = Rig::new();
    rig.tell(KafkaEvent::Start);
    assert_eq!(rig.fail("init", Failure::Ambiguous), "destroy");
    assert_eq!(rig.pass(100), "init");
    rig.answer("init");
    rig.grant(&[0, 1], 1);
    assert_eq!(rig.fail("fetch", Failure::Ambiguous), "");
    assert_eq!(rig.pass(100), "fetch");
    rig.fetched(&[known(1, 5), known(1, 5)]);
    assert_eq!(rig.fail("measure", Failure::Fatal), "");
    assert_eq!(rig.pass(100), "measure");
    assert_eq!(rig.fail("measure", Failure::Refused), "drop close destroy exit");
}
