//! The real drain of one sink between a made-up topic and a made-up file, under crashes, failures and deletion at every step: the
//! file has each row once and in order, or the run says what is missing. Planted faults must show.

use std::sync::{Arc, Mutex};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::world::{Faults, Reader, World, number_of};
use crate::{
    commit::embedded::PlantedFault,
    error::{ProcessorError, ProcessorResult},
    kafka::outbox::sink::SinkDrain,
    sink::{Output, ResultSink, SinkMark},
};

/// A file of lines, some of which a crash takes.
#[derive(Default)]
struct Disk {
    lines: Vec<Vec<u8>>,
    synced: usize,
    /// Fails at this call.
    fails_in: Option<u32>,
}

impl Disk {
    fn call(&mut self) -> ProcessorResult<()> {
        self.fails_in = self.fails_in.and_then(|calls| calls.checked_sub(1));
        if self.fails_in == Some(0) {
            self.fails_in = None;
            let reason = "planned".into();
            return Err(ProcessorError::Unavailable { name: "disk".into(), reason });
        }
        Ok(())
    }
}

struct DiskSink(Arc<Mutex<Disk>>);

impl ResultSink for DiskSink {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn deliver(&mut self, output: &Arc<Output>) -> ProcessorResult<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        disk.lines.extend(output.results.iter().map(|result| result.json.clone()));
        Ok(())
    }

    fn cursor_name(&self) -> Option<String> {
        Some("disk".into())
    }

    fn mark(&self) -> Option<SinkMark> {
        let length = self.0.lock().unwrap().lines.len() as u64;
        Some(SinkMark { length, device: 1, inode: 1 })
    }

    fn sync(&mut self) -> ProcessorResult<()> {
        let mut disk = self.0.lock().unwrap();
        disk.call()?;
        disk.synced = disk.lines.len();
        Ok(())
    }

    fn rewind(&mut self, to: Option<&SinkMark>) -> ProcessorResult<()> {
        let Some(to) = to else { return Ok(()) };
        let mut disk = self.0.lock().unwrap();
        let length = usize::try_from(to.length).unwrap();
        if disk.lines.len() < length {
            let reason = "is shorter than its cursor".into();
            return Err(ProcessorError::Sink { name: "disk".into(), reason });
        }
        disk.lines.truncate(length);
        disk.synced = length;
        Ok(())
    }

    fn close(&mut self) -> ProcessorResult<()> {
        Ok(())
    }
}

impl World<Disk> {
    /// A process that begins.
    fn start(&self) -> SinkDrain<Reader> {
        self.begin(Box::new(DiskSink(Arc::clone(&self.server))), 9)
    }

    /// What the process did not sync may be gone.
    fn crash(&self, chance: &mut ChaCha8Rng) -> SinkDrain<Reader> {
        let mut disk = self.server.lock().unwrap();
        let (synced, written) = (disk.synced, disk.lines.len());
        let left = chance.random_range(synced..=written);
        disk.lines.truncate(left);
        disk.synced = left;
        disk.fails_in = None;
        drop(disk);
        self.start()
    }
}

/// A run of `seed`; what is wrong at its end.
fn run(seed: u64, faults: Faults) -> Result<(), String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let world = World::<Disk>::new(faults);
    let mut drain = world.start();
    let mut written = 0;
    for _ in 0..chance.random_range(20..200) {
        match chance.random_range(0..20) {
            0..=4 => {
                written += 1;
                world.log.borrow_mut().append(written);
                world.board.committed(&[world.log.borrow().total]);
            }
            5 => drain = world.crash(&mut chance),
            6 => world.server.lock().unwrap().fails_in = Some(chance.random_range(1..4)),
            7 => {
                if let Some(below) = world.board.slowest(0) {
                    world.log.borrow_mut().delete(below);
                }
            }
            _ => drain.step().map_err(|error| error.to_string())?,
        }
    }
    for _ in 0..2_000 {
        drain.step().map_err(|error| error.to_string())?;
    }
    if !drain.has_all() {
        return Err("the sink never has all".into());
    }
    let disk = world.server.lock().unwrap();
    let found: Vec<u64> = disk.lines.iter().map(|line| number_of(line)).collect();
    let expected: Vec<u64> = (1..=written).collect();
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of 1..={written}")) }
}

#[test]
fn a_file_has_each_row_once_through_crashes_failures_and_deletion() {
    for seed in 0..400 {
        run(seed, Faults::default()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    }
}

#[test]
fn planted_faults_show() {
    let planted =
        [PlantedFault::CursorBeforeWrite, PlantedFault::SkipSync, PlantedFault::SkipRewind];
    for fault in planted {
        let faults = Faults { planted: Some(fault), ..Faults::default() };
        let found = (0..200).find(|seed| run(*seed, faults).is_err());
        assert!(found.is_some(), "{fault:?} does not show within 200 seeds");
    }
}

/// Rows that the sink has not got are deleted by somebody else.
fn after_a_deletion(faults: Faults) -> (Result<(), String>, usize) {
    let world = World::<Disk>::new(faults);
    (1..=3).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    (4..=9).for_each(|number| world.log.borrow_mut().append(number));
    let end = world.log.borrow().end;
    world.log.borrow_mut().delete(end - 2);
    let mut drain = world.start();
    let outcome = (0..50).try_for_each(|_| drain.step());
    let lines = world.server.lock().unwrap().lines.len();
    (outcome.map_err(|error| error.to_string()), lines)
}

#[test]
fn a_cursor_below_the_start_of_the_log_is_refused() {
    let (outcome, lines) = after_a_deletion(Faults::default());
    let wrong = outcome.unwrap_err();
    assert!(wrong.contains("the log begins at") && wrong.contains("g-outbox-disk"), "{wrong}");
    assert_eq!(lines, 3);
    // Without that check rows would be left out, and nobody would know.
    let faults = Faults { ignores_the_start: true, ..Faults::default() };
    assert_eq!(after_a_deletion(faults), (Ok(()), 4));
}

#[test]
fn a_row_that_does_not_follow_is_refused() {
    let world = World::<Disk>::new(Faults::default());
    (1..=3).for_each(|number| world.log.borrow_mut().append(number));
    let mut drain = world.start();
    (0..50).for_each(|_| drain.step().unwrap());
    (4..=5).for_each(|number| world.log.borrow_mut().append(number));
    world.log.borrow_mut().rows.remove(3);
    let wrong = (0..50).try_for_each(|_| drain.step()).unwrap_err().to_string();
    assert!(wrong.contains("results are missing before offset"), "{wrong}");
}
