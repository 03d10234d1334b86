//! A client that sends again what was not acknowledged, to a processor that comes and goes.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use ureq::Agent;

/// Longest time anything is waited for.
const BOUND: Duration = Duration::from_mins(1);

/// Sends to the processor whose log is `log`, wherever it listens at the moment.
#[derive(Clone)]
pub(crate) struct Sender {
    agent: Agent,
    log: PathBuf,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Sender {
    pub(crate) fn new(log: &Path) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .build();
        Self { agent: agent.into(), log: log.to_owned() }
    }

    /// Where the processor listens, if it says so.
    pub(crate) fn address(&self) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        let line = log.lines().find(|line| line.contains("http server listens"))?;
        let (_, after) = line.split_once("address=")?;
        after.split_whitespace().next().map(str::to_owned)
    }

    /// Waits until the processor answers at `path` with something else than 503.
    pub(crate) fn wait_until_open(&self, path: &str) {
        let begun = Instant::now();
        let is_open = || self.post(path, &[], b"").is_some_and(|answer| answer.status != 503);
        while !is_open() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            assert!(begun.elapsed() < BOUND, "it does not accept anything:\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// One attempt; `None` if there was no answer, so that nobody knows what became of it.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
        let mut request = self.agent.post(format!("http://{}{path}", self.address()?));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::read(request.send(body).ok()?)
    }

    /// What is shown at `path`.
    pub(crate) fn get(&self, path: &str) -> Option<Answer> {
        Self::read(self.agent.get(format!("http://{}{path}", self.address()?)).call().ok()?)
    }

    fn read(mut answer: ureq::http::Response<ureq::Body>) -> Option<Answer> {
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let body = answer.body_mut().read_to_string().ok()?;
        Some(Answer { status: answer.status().as_u16(), retry_after, body })
    }

    /// Sends until it is acknowledged; says in how many attempts before it may have been kept.
    pub(crate) fn insist(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u64 {
        let begun = Instant::now();
        let mut doubtful = 0;
        loop {
            let is_there = self.address().is_some();
            match self.post(path, headers, body) {
                Some(Answer { status: 200 | 202, .. }) => return doubtful,
                // What the store refused may be found by the next run.
                Some(Answer { status: 503, body, .. }) => {
                    doubtful += u64::from(body.contains("could not be stored"));
                }
                Some(Answer { status: 429 | 409, .. }) => {}
                Some(answer) => panic!("{answer:?}"),
                None => doubtful += u64::from(is_there),
            }
            assert!(begun.elapsed() < BOUND, "it is never acknowledged");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
