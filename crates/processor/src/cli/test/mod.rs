//! `test`: fixtures of the user's own pipelines, events in and expected windows out.
//!
//! The pipelines, decoders and engine are those of a run; only reading, delivery and the clock are replaced.

mod args;
pub(super) mod compare;
mod judge;
mod junit;
mod print;
mod run;
mod update;

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use llm_optimizer_config::{
    LoadedFixture, ProcessorConfig, fixture::Expectation, load, load_fixture,
};

use args::ColorWhen;
pub(super) use args::TestArgs;
use judge::{Judge, Problem};
use run::beside;

use super::{exit::Exit, paint::Paint};

/// Endings of files that are found in folders.
const ENDINGS: [&str; 3] = [".test.yaml", ".test.yml", ".test.json"];

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 16;

/// What came of one fixture.
#[derive(Debug)]
pub(super) struct FixtureOutcome {
    path: PathBuf,
    /// Why it could not be run.
    broken: Option<String>,
    tests: Vec<TestOutcome>,
}

/// What came of one test.
#[derive(Debug)]
pub(super) struct TestOutcome {
    name: String,
    place: llm_optimizer_config::Place,
    problems: Vec<Problem>,
    /// Why it could not be run.
    broken: Option<String>,
    /// Windows that fired.
    windows: usize,
    elapsed: Duration,
    updated: bool,
}

impl TestOutcome {
    fn is_ok(&self) -> bool {
        self.problems.is_empty() && self.broken.is_none()
    }
}

impl FixtureOutcome {
    fn is_broken(&self) -> bool {
        self.broken.is_some() || self.tests.iter().any(|test| test.broken.is_some())
    }

    fn refused(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), broken: Some(why.into()), tests: Vec::new() }
    }
}

/// Runs fixtures; 0 if all is as expected, 1 if not, 2 if a fixture cannot be used.
pub(super) fn test(args: &TestArgs) -> Exit {
    let outcomes: Vec<FixtureOutcome> = match find(&args.paths) {
        Ok(found) => found.iter().map(|path| run_fixture(path, args)).collect(),
        Err(outcome) => vec![outcome],
    };
    let paint = match args.color {
        ColorWhen::Auto => Paint::for_stdout(),
        ColorWhen::Always => Paint::new(true),
        ColorWhen::Never => Paint::new(false),
    };
    let text = print::text(&outcomes, paint);
    let printed = args.output.answer(&print::json(&outcomes), &text);
    let is_broken = outcomes.iter().any(FixtureOutcome::is_broken);
    let failed = outcomes.iter().flat_map(|outcome| &outcome.tests).any(|test| !test.is_ok());
    let exit = match (is_broken, failed) {
        (true, _) => Exit::BadFixture,
        (false, true) => Exit::Differs,
        (false, false) => printed,
    };
    exit.or(write_junit(args, &outcomes))
}

fn write_junit(args: &TestArgs, outcomes: &[FixtureOutcome]) -> Exit {
    let Some(path) = &args.junit else { return Exit::Ok };
    match std::fs::write(path, junit::xml(outcomes)) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("cannot write {}: {error}", path.display());
            Exit::CannotCreate
        }
    }
}

/// The fixtures that are meant, in the order of their paths.
fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FixtureOutcome> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            let collected = collect(path, 0, &mut found);
            collected.map_err(|error| FixtureOutcome::refused(path, error.to_string()))?;
            if found.len() == before {
                let why = format!("no fixtures here: their names end in {}", ENDINGS.join(", "));
                return Err(FixtureOutcome::refused(path, why));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        let is_skipped = name.starts_with('.') || name == "target" || name == "node_modules";
        // What `.` leads to keeps its short name.
        let path = entry.path();
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        if kind.is_dir() && !is_skipped && depth < MAX_DEPTH {
            collect(&path, depth + 1, found)?;
        } else if kind.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    Ok(())
}

fn run_fixture(path: &Path, args: &TestArgs) -> FixtureOutcome {
    let loaded = match load_fixture(path) {
        Ok(loaded) => loaded,
        Err(faults) => return FixtureOutcome::refused(path, faults_of(&faults)),
    };
    let fixture = &loaded.fixture;
    let config = match load(&beside(path, &fixture.config), fixture.environment.clone()) {
        Ok(loaded) => loaded.config,
        Err(faults) => {
            let place = loaded.place("config");
            let why = format!("the configuration cannot be used ({place})\n{}", faults_of(&faults));
            return FixtureOutcome::refused(path, why);
        }
    };
    let mut outcome = FixtureOutcome { path: path.to_owned(), broken: None, tests: Vec::new() };
    let mut updates = Vec::new();
    for (index, test) in fixture.tests.iter().enumerate() {
        if args.name.as_ref().is_some_and(|part| !test.name.contains(part.as_str())) {
            continue;
        }
        let (tested, observed) = run_test(&loaded, index, path, &config);
        let wants_update = !tested.is_ok();
        if let Some(observed) = observed.filter(|_| args.update && wants_update) {
            updates.push((index, observed));
        }
        outcome.tests.push(tested);
    }
    if updates.is_empty() {
        return outcome;
    }
    match update::write(&loaded, path, &updates) {
        Ok(()) => after_update(path, args, &config, outcome),
        Err(why) => FixtureOutcome { broken: Some(why), ..outcome },
    }
}

/// Runs the fixture again as it is now.
fn after_update(
    path: &Path,
    args: &TestArgs,
    config: &ProcessorConfig,
    before: FixtureOutcome,
) -> FixtureOutcome {
    let loaded = match load_fixture(path) {
        Ok(loaded) => loaded,
        Err(faults) => return FixtureOutcome::refused(path, faults_of(&faults)),
    };
    let is_wanted = |name: &str| args.name.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let names = loaded.fixture.tests.iter().enumerate().filter(|(_, test)| is_wanted(&test.name));
    let tests = names.map(|(index, test)| {
        let was_ok = before.tests.iter().any(|one| one.name == test.name && one.is_ok());
        let (outcome, _) = run_test(&loaded, index, path, config);
        TestOutcome { updated: !was_ok, ..outcome }
    });
    FixtureOutcome { tests: tests.collect(), ..before }
}

fn run_test(
    loaded: &LoadedFixture,
    index: usize,
    path: &Path,
    config: &ProcessorConfig,
) -> (TestOutcome, Option<run::Observed>) {
    let begun = Instant::now();
    let mut outcome = TestOutcome {
        name: String::new(),
        place: loaded.place(&format!("tests[{index}].name")),
        problems: Vec::new(),
        broken: None,
        windows: 0,
        elapsed: Duration::ZERO,
        updated: false,
    };
    let Some(test) = loaded.fixture.tests.get(index) else { return (outcome, None) };
    outcome.name.clone_from(&test.name);
    let pipelines = || config.pipelines().into_iter().map(|pipeline| pipeline.name);
    let named = test.expect.windows.iter().flatten().chain(&test.expect.absent);
    let unknown = named.filter_map(|window| window.pipeline.clone());
    if let Some(unknown) = unknown.into_iter().find(|name| pipelines().all(|known| known != *name))
    {
        let known = pipelines().collect::<Vec<_>>().join(", ");
        outcome.broken =
            Some(format!("there is no pipeline `{unknown}` in the configuration; it has {known}"));
        return (outcome, None);
    }
    match run::run(loaded, index, path, config) {
        Ok(observed) => {
            outcome.problems = Judge { loaded, test, index, observed: &observed }.problems();
            outcome.windows = observed.windows().len();
            outcome.elapsed = begun.elapsed();
            if test.expect == Expectation::default() {
                let help = "write what should come out, or let --update write what does";
                outcome.broken = Some(format!("nothing is expected, so it cannot fail: {help}"));
            }
            (outcome, Some(observed))
        }
        Err(error) => {
            outcome.broken = Some(error.to_string());
            (outcome, None)
        }
    }
}

/// The faults, without the verdict on a configuration that ends the list.
fn faults_of(faults: &llm_optimizer_config::ConfigError) -> String {
    let faults: Vec<String> = faults.faults().iter().map(ToString::to_string).collect();
    faults.join("\n\n")
}
