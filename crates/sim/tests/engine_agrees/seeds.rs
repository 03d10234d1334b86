//! The seeds of the cases that are run, and which of them failed.

/// Names its seed if the test fails while it lives.
pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case that failed: SIM_SEED={}", self.0);
        }
    }
}

/// One of `part` parts of the `usual` number of cases, or what `SIM_SEED` and `SIM_CASES` say.
pub(crate) fn of(usual: u64, part: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_CASES").unwrap_or(usual) / part).collect(),
    }
}
