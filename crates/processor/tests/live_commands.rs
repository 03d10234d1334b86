//! `why`, `tap` and `top` through the binary, against processors that run.
#![cfg(test)]

mod support;

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    binary::{Running, Workplace},
    sender::Sender,
    tmux::Tmux,
};

/// Live traffic from long ago, twenty times as fast as the clock.
const GENERATED: &str = "processor:
  source: { type: generator, generator: { events_per_sec: 400, speed: 20, late_ratio: 0.05, start: 2026-03-01T08:00:00Z } }
  event: { profile: custom, timestamp: timestamp, key: [model], values: { latency_ms: latency_ms } }
  windows: { tumbling: { size_secs: 20 } }
  watermark: { max_out_of_orderness_secs: 3 }
  aggregation: { enabled: [count, average, percentile], percentiles: [50, 95, 99] }
  sinks: [ { type: file, path: results.ndjson } ]
  state: { path: state }
  commit_interval_ms: 100
";

/// Records that are sent, with windows of a second.
const SENT: &str = "processor:
  source: { type: http }
  event: { profile: custom, timestamp: at, timestamp_unit: ms, key: [key], values: { v: v } }
  windows: { tumbling: { size_secs: 1 } }
  watermark: { max_out_of_orderness_secs: 0, max_future_skew_secs: 100000000 }
  aggregation: { enabled: [count] }
  state: { path: state }
  commit_interval_ms: 50
";

/// A processor that runs and listens.
struct Live {
    place: Workplace,
    run: Running,
    address: String,
}

impl Live {
    fn start(yaml: &str) -> Self {
        Self::start_at(yaml, "127.0.0.1:0", "")
    }

    fn start_at(yaml: &str, bind: &str, http: &str) -> Self {
        let place = Workplace::new(&format!("{yaml}  http: {{ bind: \"{bind}\"{http} }}\n"));
        let run = place.start(&[]);
        let address = listens(&place);
        Self { place, run, address }
    }

    fn ask(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let mut all = arguments.to_vec();
        all.extend(["--address", &self.address]);
        self.place.command(&all).envs(env.iter().copied()).output().unwrap()
    }

    /// The verdict about the only pipeline.
    fn why(&self, more: &[&str]) -> Value {
        let output = self.ask(&[&["why", "--output", "json"], more].concat(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["pipelines"][0].clone()
    }

    /// Asks until the cause is this one; the verdict.
    fn why_until(&self, cause: &str, more: &[&str]) -> Value {
        let mut last = Value::Null;
        let is_it = wait(|| {
            last = self.why(more);
            last["cause"] == cause
        });
        assert!(is_it, "never {cause}: {last:#}\n{}", self.place.read("log.txt"));
        last
    }

    /// What `why` says to people.
    fn why_text(&self, more: &[&str]) -> String {
        let output = self.ask(&[&["why"], more].concat(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn tap(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.ask(&[&["tap", "--output", "json"], arguments].concat(), &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        json_lines(&output.stdout)
    }

    fn has_results(&self) {
        self.place.wait_for("results.ndjson", "results", |text| text.lines().count() > 20);
    }
}

fn listens(place: &Workplace) -> String {
    place.wait_for("log.txt", "the address", |log| log.contains("http server listens"));
    Sender::new(&place.path("log.txt")).address().unwrap()
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until `done` says so, at most a minute; whether it did.
fn wait(mut done: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        if done() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn why_says_that_nothing_is_wrong_and_when_the_next_window_fires() {
    let live = Live::start(GENERATED);
    live.has_results();
    let why = live.why_until("nothing_wrong", &[]);
    assert_eq!(why["window"]["state"], "open", "{why:#}");
    assert!(why["window"]["events"].as_u64() > Some(0), "{why:#}");
    assert!(why["verdict"].as_str().unwrap().starts_with("nothing is wrong: the window ["));
    assert_eq!(why["findings"], Value::Array(Vec::new()));
    // What fired can be asked for by its key and start.
    let results = live.place.read("results.ndjson");
    let fired: Value = serde_json::from_str(results.lines().next().unwrap()).unwrap();
    let (key, start) = (&fired["window"]["key"], &fired["window"]["start"]);
    let (key, start) = (key.as_str().unwrap(), start.as_str().unwrap());
    let closed = live.why(&["--key", key, "--window", start]);
    assert_eq!(closed["cause"], "nothing_wrong", "{closed:#}");
    assert_eq!(closed["window"]["end"], fired["window"]["end"]);
    assert_eq!(closed["window"]["events"], fired["results"]["count"]);
    assert!(closed["verdict"].as_str().unwrap().contains("has fired, with one result"));
    assert_eq!(live.why(&["--key", "model=nobody"])["cause"], "no_such_window");
    let text = live.why_text(&["--key", key]);
    assert!(
        text.starts_with("default: nothing_wrong\n") && text.contains("  watermark: 20"),
        "{text}"
    );
}

#[test]
fn why_names_a_sink_that_does_not_answer_and_what_waits_for_it() {
    // It takes connections and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let (address, kept) = (deaf.local_addr().unwrap(), Arc::clone(&held));
    thread::spawn(move || deaf.incoming().for_each(|it| kept.lock().unwrap().extend(it.ok())));
    let sink = format!("  sinks: [ {{ type: websocket, url: \"ws://{address}/\" }} ]\n");
    let live = Live::start(&format!("{SENT}{sink}"));
    let sender = Sender::new(&live.place.path("log.txt"));
    sender.wait_until_open("/v1/events");
    for at in [1_000, 2_500] {
        let body = format!("{{\"at\":{at},\"key\":\"a\",\"v\":1}}");
        sender.insist("/v1/events", &[("content-type", "application/x-ndjson")], body.as_bytes());
    }
    let why = live.why_until("sink_stuck", &["--key", "key=a", "--window", "1000"]);
    let finding = &why["findings"][0];
    assert!(finding["numbers"]["sink"].as_str().unwrap().contains(&address.to_string()), "{why:#}");
    assert!(finding["numbers"]["waiting_bytes"].as_u64() > Some(0), "{why:#}");
    assert!(finding["numbers"]["since_ms"].as_u64() >= Some(1_000), "{why:#}");
    assert_eq!(why["window"]["events"], 1, "the window itself has fired: {why:#}");
    let text = live.why_text(&[]);
    assert!(
        text.contains("default: sink_stuck") && text.contains("to do: bring the server"),
        "{text}"
    );
    drop(held);
}

#[test]
fn taps_show_every_stage_of_a_run_and_say_what_they_leave_out() {
    let live = Live::start(GENERATED);
    live.has_results();
    let records = live.tap(&["records", "--limit", "3", "--rate", "100/s"]);
    assert!(
        records
            .iter()
            .all(|it| it["origin"]["source"] == "generator"
                && it["record"]["bytes"].as_u64() > Some(20)),
        "{records:#?}"
    );
    let text = records[0]["record"]["text"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap()["latency_ms"].is_number(), "{text}");

    let events = live.tap(&["events", "--limit", "30", "--rate", "20"]);
    let (samples, skipped): (Vec<&Value>, Vec<&Value>) =
        events.iter().partition(|it| it["skipped"].is_null());
    assert_eq!(samples.len(), 30);
    assert!(
        samples.iter().all(|it| it["values"]["latency_ms"].is_number()
            && it["time"].is_string()
            && it["pipeline"] == "default"),
        "{samples:#?}"
    );
    let left_out: u64 = skipped.iter().map(|it| it["skipped"]["not_shown"].as_u64().unwrap()).sum();
    assert!(left_out > 100, "8,000 events per second and 20 shown: {skipped:?}");

    let key = samples[0]["key"].as_str().unwrap();
    let of_key = live.tap(&["events", "--limit", "5", "--key", key]);
    assert!(
        of_key.iter().filter(|it| it["skipped"].is_null()).all(|it| it["key"] == key),
        "{of_key:#?}"
    );
    let late = live.tap(&["late", "--limit", "1"]);
    assert!(
        late[0]["lateness_ms"].as_i64() > Some(0) && late[0]["reason"] == "too_late",
        "{late:#?}"
    );
    let results = live.tap(&["results", "--limit", "1", "--pipeline", "default"]);
    assert!(results[0]["result"]["results"]["p95"].is_number(), "{results:#?}");
    let commits = live.tap(&["commits", "--limit", "4"]);
    assert_eq!(commits.len(), 4, "ten commits a second, and every step is shown: {commits:#?}");
    let steps: Vec<_> = commits.iter().map(|it| it["commit"]["step"].as_str().unwrap()).collect();
    assert!(steps.windows(2).all(|two| two[0] != two[1]), "{commits:#?}");
    let told = |it: &&Value| it["commit"]["step"] == "acknowledged";
    let acknowledged: Vec<_> = commits.iter().filter(told).collect();
    assert!(!acknowledged.is_empty(), "{commits:#?}");
    assert!(acknowledged.iter().all(|it| it["commit"]["took_ms"].is_number()), "{commits:#?}");

    let output = live.ask(&["tap", "events", "--limit", "2"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.contains("model=") && text.contains("latency_ms="), "{text}");
    let wrong = live.ask(&["tap", "commits", "--key", "a=1"], &[]);
    assert_eq!(wrong.status.code(), Some(64), "{wrong:?}");
    let nobody = live.ask(&["tap", "events", "--pipeline", "nobody"], &[]);
    assert!(
        nobody.status.code() == Some(64)
            && String::from_utf8_lossy(&nobody.stderr).contains("nobody"),
        "{nobody:?}"
    );
}

#[test]
fn records_as_they_were_sent_are_shown_to_those_with_the_token() {
    let live = Live::start_at(SENT, "127.0.0.1:0", ", token: sesame");
    let refused = live.ask(&["tap", "dead-letters", "--limit", "1"], &[]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(77) && said.contains("PROCESSOR_HTTP__TOKEN"), "{said}");
    let arguments =
        ["tap", "dead-letters", "--limit", "1", "--output", "json", "--address", &live.address];
    let mut command = live.place.command(&arguments);
    let tap =
        command.env("PROCESSOR_HTTP__TOKEN", "sesame").stdout(Stdio::piped()).spawn().unwrap();
    let shown = fed(&live, tap, b"\x1b[31mno json\xff");
    assert_eq!(
        (&shown["reason"], &shown["stage"]),
        (&"invalid_json".into(), &"dead-letters".into()),
        "{shown:#}"
    );
    assert_eq!(
        shown["record"]["base64"], "G1szMW1ubyBqc29u/w==",
        "bytes that are no text: {shown:#}"
    );
    assert!(!shown["detail"].as_str().unwrap().is_empty());
    // Events are no records as they were sent.
    let open = live.ask(&["tap", "events", "--key", "key=a", "--limit", "0"], &[]);
    assert_eq!(
        open.status.code(),
        Some(64),
        "a limit of nothing is refused before anything is asked"
    );
}

/// Sends `record` again and again until `tap` has seen one; what it printed.
fn fed(live: &Live, mut tap: Child, record: &[u8]) -> Value {
    let sender = Sender::new(&live.place.path("log.txt"));
    sender.wait_until_open("/v1/events");
    let lines = ("content-type", "application/x-ndjson");
    let has_seen = wait(|| {
        sender.insist("/v1/events", &[lines], record);
        tap.try_wait().unwrap().is_some()
    });
    if !has_seen {
        tap.kill().unwrap();
    }
    let output = tap.wait_with_output().unwrap();
    assert!(has_seen && output.status.success(), "{}", live.place.read("log.txt"));
    json_lines(&output.stdout).remove(0)
}

#[test]
fn a_processor_that_is_not_there_is_said_to_be() {
    let place = Workplace::new(GENERATED);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for arguments in [&["why"][..], &["tap", "events"], &["top", "--once"]] {
        let all = [arguments, &["--address", &free]].concat();
        let output = place.command(&all).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(
            said.contains(&format!("no processor answers at {free}")) && said.contains("--address"),
            "{said}"
        );
    }
    let output = place.command(&["top", "--address", &free]).output().unwrap();
    assert_eq!(output.status.code(), Some(64), "no terminal: {output:?}");
}

#[test]
fn top_prints_one_picture_or_its_numbers() {
    let live = Live::start(GENERATED);
    live.has_results();
    let output =
        live.ask(&["top", "--once", "--width", "110", "--height", "30", "--every", "0.5"], &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 30, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    for part in
        ["processor top", "ready", "records/s", "▲ ", "model=", "sinks ok: results.ndjson", "p95"]
    {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let json: Value =
        serde_json::from_slice(&live.ask(&["top", "--output", "json"], &[]).stdout).unwrap();
    let read = json["rates"]["default"]["records_read_per_sec"].as_f64().unwrap();
    assert!(read > 1_000.0, "8,000 per second are generated: {read}");
    assert!(
        json["keys"]
            .as_array()
            .unwrap()
            .iter()
            .all(|key| key["windows"][0]["results"]["p95"].is_number())
    );
    assert!(json["overview"]["latencies"]["commit"]["p95_ms"].is_number(), "{}", json["overview"]);
}

#[test]
fn top_lives_in_a_terminal_and_leaves_it_as_it_was() {
    let Some(tmux) = Tmux::start(100, 30) else { return };
    let mut live = Live::start(GENERATED);
    live.has_results();
    let program = env!("CARGO_BIN_EXE_processor");
    let begin = format!(
        "stty -g > before; {program} top --every 0.2 --address {}; echo left with $?; stty -g > after",
        live.address
    );
    tmux.line(&begin);
    let has_numbers = |text: &str| {
        let rate = text
            .lines()
            .find_map(|line| line.split("records/s").next().filter(|_| line.contains("records/s")));
        let rate = rate
            .and_then(|rest| rest.trim_matches(['│', ' ']).split(' ').next().map(str::to_owned));
        text.contains("model=")
            && rate
                .is_some_and(|rate| rate != "0" && rate.starts_with(|c: char| c.is_ascii_digit()))
    };
    tmux.wait_for("numbers", has_numbers);
    tmux.press("k");
    tmux.wait_for("the order by key", |text| text.contains("by key") && text.contains("key↓"));
    let models = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().map(|word| word.trim_start_matches('│'));
        let words = words.filter(|word| word.starts_with("model="));
        words.map(str::to_owned).collect()
    };
    let sorted = models(&tmux.screen());
    assert!(sorted.len() > 1 && sorted.is_sorted(), "{sorted:?}");
    tmux.resize(80, 24);
    tmux.wait_for("the smaller picture", |text| {
        has_numbers(text) && text.lines().nth(23).is_some_and(|line| line.contains("q quit"))
    });
    // The processor goes away, and comes back at the same address.
    live.run.terminate();
    tmux.wait_for("the loss", |text| text.contains("DISCONNECTED"));
    let bound = live.address.clone();
    live = Live::start_at(GENERATED, &bound, "");
    tmux.wait_for("the return", |text| !text.contains("DISCONNECTED") && has_numbers(text));
    tmux.press("q");
    tmux.wait_for("the end", |text| text.contains("left with 0") && !text.contains("records/s"));
    tmux.line(&format!("{program} top --address {} || true; echo again $?", live.address));
    tmux.wait_for("numbers again", has_numbers);
    tmux.signal_child("TERM");
    tmux.wait_for("the end by a signal", |text| {
        text.contains("again 0") && !text.contains("records/s")
    });
    tmux.line("stty -g > last; stty -g; echo");
    let place = tmux.folder();
    assert!(wait(
        || std::fs::read_to_string(place.join("last")).is_ok_and(|text| text.ends_with('\n'))
    ));
    let of = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    assert_eq!(
        (of("after"), of("last")),
        (of("before"), of("before")),
        "the terminal is as it was"
    );
}

#[test]
fn top_ends_with_its_terminal() {
    let Some(tmux) = Tmux::start(100, 30) else { return };
    let live = Live::start(GENERATED);
    live.has_results();
    let program = env!("CARGO_BIN_EXE_processor");
    tmux.line(&format!(
        "echo $$ > shell; exec {program} top --every 0.2 --address {}",
        live.address
    ));
    tmux.wait_for("numbers", |text| text.contains("model="));
    let pid = std::fs::read_to_string(tmux.folder().join("shell")).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    // Who has ended and was not waited for has the state Z.
    let is_there = || std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z "));
    assert!(is_there());
    tmux.close();
    assert!(wait(|| !is_there()), "top goes on without a terminal");
}
