//! Timelines of the protocol machine.

use proptest::prelude::*;

use super::*;

const SETTINGS: CommitSettings =
    CommitSettings { interval_ms: 1_000, min_interval_ms: 10, max_bytes: 100 };

/// Feeds a script, one event per line, and returns the commands of each as words.
fn run(script: &str) -> Vec<String> {
    let mut machine = CommitMachine::new(SETTINGS);
    script.lines().map(|line| words(&machine.handle(event(line.trim())))).collect()
}

fn event(line: &str) -> CommitEvent {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |i: usize| words[i].parse::<u64>().unwrap();
    match words[0] {
        "at" => CommitEvent::Progress {
            now_ms: i64::try_from(number(1)).unwrap(),
            waiting_bytes: number(2),
            moved: words.get(3) != Some(&"still"),
        },
        "changed" => CommitEvent::Changed { bytes: number(1) },
        "ack" => CommitEvent::Acknowledged { number: CommitNumber(number(1)) },
        "abort" => CommitEvent::Aborted { number: CommitNumber(number(1)) },
        "shutdown" => CommitEvent::Shutdown,
        other => panic!("unknown event {other}"),
    }
}

fn words(commands: &[CommitCommand]) -> String {
    let word = |command: &CommitCommand| match command {
        CommitCommand::Cut(n) => format!("cut {}", n.0),
        CommitCommand::Retry(n) => format!("retry {}", n.0),
        CommitCommand::PauseInput => "pause".into(),
        CommitCommand::ResumeInput => "resume".into(),
        CommitCommand::Finished => "finished".into(),
    };
    commands.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn results_wait_for_the_least_interval_and_progress_for_the_greatest() {
    assert_eq!(
        run("at 0 0\n at 9 5\n at 10 5\n ack 1\n at 15 0\n at 1009 0\n at 1010 0"),
        ["", "", "cut 1", "", "", "", "cut 2"]
    );
}

#[test]
fn nothing_moved_cuts_nothing() {
    assert_eq!(run("at 0 0 still\n at 90000 0 still"), ["", ""]);
}

#[test]
fn changed_state_counts_for_the_limit_and_makes_nothing_due() {
    assert_eq!(
        run("changed 99\n at 0 0\n at 20 0\n at 30 1\n ack 1\n changed 99\n at 31 0\n changed 100"),
        ["", "", "", "cut 1", "", "", "", "cut 2"]
    );
    assert_eq!(
        run("changed 100\n changed 60\n at 1 50 still\n ack 1"),
        ["cut 1", "", "pause", "cut 2, resume"],
        "while one is in flight input waits"
    );
}

#[test]
fn input_pauses_while_the_next_commit_is_full_and_one_is_in_flight() {
    assert_eq!(
        run("at 0 100\n at 1 60\n at 2 120\n at 3 120 still\n ack 1"),
        ["cut 1", "", "pause", "", "cut 2, resume"]
    );
}

#[test]
fn a_failed_commit_is_sent_again_under_its_number() {
    assert_eq!(
        run("at 0 100\n abort 1\n abort 1\n ack 1\n abort 1"),
        ["cut 1", "retry 1", "retry 1", "", ""]
    );
}

#[test]
fn shutdown_commits_what_waits_before_it_finishes() {
    assert_eq!(
        run("at 0 0\n at 5 7\n shutdown\n ack 1\n at 9 0 still"),
        ["", "", "cut 1", "finished", ""]
    );
    assert_eq!(run("shutdown"), ["finished"]);
}

proptest! {
    /// Whatever happens: numbers rise by one, one is in flight, and everything ends.
    #[test]
    fn the_laws_hold_for_any_history(steps in prop::collection::vec((0u8..4, 0u64..200), 0..200)) {
        let mut machine = CommitMachine::new(SETTINGS);
        let (mut now_ms, mut waiting, mut flying, mut last) = (0, 0, None, 0);
        let mut finished = 0;
        let mut steps: Vec<_> = steps;
        steps.extend([(9, 0), (2, 0), (2, 0), (2, 0)]);
        for (kind, amount) in steps {
            let event = match (kind, flying) {
                (2, Some(number)) => { flying = None; CommitEvent::Acknowledged { number } }
                (3, Some(number)) => CommitEvent::Aborted { number },
                (9, _) => CommitEvent::Shutdown,
                _ => {
                    now_ms += i64::try_from(amount).unwrap();
                    waiting += amount / 10;
                    CommitEvent::Progress { now_ms, waiting_bytes: waiting, moved: true }
                }
            };
            for command in machine.handle(event) {
                match command {
                    CommitCommand::Cut(number) => {
                        prop_assert_eq!(flying, None);
                        prop_assert_eq!(number.0, last + 1);
                        (flying, last, waiting) = (Some(number), number.0, 0);
                    }
                    CommitCommand::Retry(number) => prop_assert_eq!(flying, Some(number)),
                    CommitCommand::Finished => { prop_assert_eq!(flying, None); finished += 1; }
                    CommitCommand::PauseInput | CommitCommand::ResumeInput => {}
                }
            }
        }
        prop_assert_eq!(finished, 1);
    }
}
