//! The dashboard in a real browser: what it shows, that it follows, that nothing moves, and that it is usable by all.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    Served,
    support::{
        binary::Workplace,
        browser::{Browser, keys},
    },
};

/// Records are sent, so the numbers stand still between them and can be compared.
const SENT: &str = "processor:
  source: { type: http }
  event: { profile: custom, timestamp: at, timestamp_unit: ms, key: [model], values: { ms: ms } }
  windows: { tumbling: { size_secs: 10 } }
  watermark: { max_out_of_orderness_secs: 0, idle_timeout_secs: 0 }
  aggregation: { enabled: [count, average, percentile], percentiles: [50, 95, 99] }
  sinks: [ { type: file, path: results.ndjson } ]
  side_outputs: { late: { type: file, path: late.ndjson } }
  state: { path: state }
  http: { bind: \"127.0.0.1:0\" }
";

/// 2024-05-01T00:00:00Z.
const BEGIN_MS: i64 = 1_714_521_600_000;

/// axe-core, MPL-2.0: looks for faults of accessibility. Part of the tests alone.
const AXE: &str = include_str!("../support/axe/axe.min.js");

impl Served {
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A run to which records can be sent.
    fn sent() -> Self {
        let served = Self::of_started(Workplace::new(SENT));
        served.wait_until("readiness", |served| served.get("/readyz").0 == 200);
        served
    }

    /// Sends one event per key at this second.
    fn send(&self, second: i64, keys: std::ops::Range<u32>) {
        let mut body = String::new();
        for key in keys {
            let (at, ms) = (BEGIN_MS + second * 1_000, 100 + key);
            writeln!(body, "{{\"at\":{at},\"model\":\"m-{key}\",\"ms\":{ms}}}").unwrap();
        }
        self.send_text(&body);
    }

    fn send_text(&self, body: &str) {
        let url = format!("{}v1/events", self.url());
        let send = || {
            let request = Self::agent().post(&url).header("Content-Type", "application/x-ndjson");
            request.send(body).unwrap().status().as_u16()
        };
        // The way in opens a moment after the run is ready.
        self.wait_until("the way in", |_| match send() {
            202 => true,
            503 => false,
            status => panic!("{status}: {body}"),
        });
    }

    /// Kills the processor; what is left of it.
    fn crash(self) -> (Workplace, String) {
        assert!(self.run.kill(), "it ran");
        (self.place, self.address)
    }

    fn pipeline(&self) -> Value {
        self.json("/api/v1/pipelines")["pipelines"][0].clone()
    }

    fn wait_for_counts(&self, read: u64) {
        self.wait_until("the counts", |served| served.pipeline()["records_read"] == read);
    }
}

/// The number of a tile, by its label, and what stands below it.
fn tile(browser: &Browser, label: &str) -> (String, String) {
    let script = format!(
        "const tile = [...document.querySelectorAll('.tile')].find((t) => t.querySelector('dt').textContent === '{label}');
         return [tile.querySelector('.number span').textContent, tile.querySelector('.aside').textContent]"
    );
    let found = browser.run(&script);
    (found[0].as_str().unwrap().into(), found[1].as_str().unwrap().into())
}

fn shows(text: &str) -> String {
    format!("return document.body.innerText.includes({})", json!(text))
}

#[test]
fn the_page_says_that_records_are_not_shown_where_they_need_the_token() {
    let Some(browser) = Browser::start() else { return };
    let with_token =
        SENT.replace("bind: \"127.0.0.1:0\"", "bind: \"127.0.0.1:0\", token: opens-it");
    let served = Served::of_started(Workplace::new(&with_token));
    served.send_text("no event of sesame\n");
    served.wait_for_counts(1);
    browser.open(&served.url());
    browser.wait_until("the sample", "return !!document.querySelector('#dead details.sample pre')");
    let shown = "return document.querySelector('#dead details.sample pre').textContent";
    let shown = browser.run(shown);
    let shown = shown.as_str().unwrap();
    assert!(shown.contains("Bearer <http.token>") && !shown.contains("sesame"), "{shown}");
}

#[test]
fn the_page_shows_the_numbers_of_the_api_and_follows_them() {
    let Some(browser) = Browser::start() else { return };
    let served = Served::sent();
    served.send(0, 0..3);
    // Closes the first window; then one event too late and one record that cannot be used.
    served.send(25, 0..3);
    served.send(3, 1..2);
    served.send_text("{\"at\":1714521626000,\"model\":\"m-1\"}\n");
    served.wait_for_counts(8);
    browser.devtools("Emulation.setTimezoneOverride", &json!({ "timezoneId": "Asia/Tokyo" }));
    browser.open(&served.url());
    browser.wait_until(
        "readiness",
        "return document.querySelector('#status').textContent === 'Ready'",
    );
    browser.wait_until("the counts", &shows("6 events in all"));
    let pipeline = served.pipeline();
    assert_eq!(tile(&browser, "Accepted").1, format!("{} events in all", pipeline["accepted"]));
    assert_eq!(tile(&browser, "Late").0, pipeline["late_dropped"].to_string());
    assert_eq!(tile(&browser, "Dead letters").0, pipeline["dead_lettered"].to_string());
    assert_eq!(tile(&browser, "Keys").0, pipeline["keys"].to_string());
    assert_eq!(tile(&browser, "Results").1, format!("{} in all", pipeline["results_emitted"]));
    // Keys, in their order, with the numbers of their newest result.
    browser.wait_until(
        "keys",
        "return document.querySelector('#keys button.row').textContent === 'model=m-0'",
    );
    let newest = &served.json("/api/v1/keys?search=m-2")["keys"][0]["newest"];
    assert_eq!(newest["results"]["p95"], 102.0);
    let row = "return [...document.querySelectorAll('#keys tbody tr')[2].cells].slice(0, 5).map((c) => c.innerText).join(' ')";
    assert_eq!(browser.run(row), "model=m-2 1 102.0 102.0 102.0");
    // Times of the viewer's zone, and UTC when pointed at.
    let end = "const end = [...document.querySelectorAll('#keys tbody tr')][2].cells[6]; return [end.innerText, end.title]";
    let end = browser.run(end);
    assert!(end[0].as_str().unwrap().ends_with("09:00:10"), "{end}");
    assert_eq!(end[1], "2024-05-01 00:00:10.000 UTC");
    // Partition, ledgers, state.
    let partition = &pipeline["partitions"][0];
    let cells = browser.run("return document.querySelector('#partition-table tbody tr').innerText");
    let cells = cells.as_str().unwrap();
    assert!(
        cells.contains("holds watermark") && cells.contains(&partition["position"].to_string()),
        "{cells}"
    );
    browser.wait_until("the ledgers", &shows("missing_field 1"));
    browser.wait_until("the ledgers", &shows("too_late 1"));
    assert!(browser.text("#flow-note").contains("8 records read"));
    // It follows: new events, a key that appears, another window of the chosen key.
    served.send(26, 3..4);
    served.send(45, 0..1);
    browser.wait_until("new counts", &shows("8 events in all"));
    browser.wait_until(
        "a new key",
        "return [...document.querySelectorAll('#keys button.row')][3].textContent === 'model=m-3'",
    );
    browser.wait_until(
        "the windows of the key",
        "return document.querySelector('#key-note').textContent.startsWith('2 windows fired')",
    );
    let keys = served.pipeline()["keys"].to_string();
    served.wait_until("the number of keys", |_| tile(&browser, "Keys").0 == keys);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn a_thousand_keys_move_nothing_on_the_page() {
    let Some(browser) = Browser::start() else { return };
    let served = Served::sent();
    browser.before_every_page(
        "window.shifts = []; new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput)
         shifts.push([entry.value, ...entry.sources.map((s) => s.node?.id || s.node?.className || s.node?.nodeName)]); })
         .observe({ type: 'layout-shift', buffered: true });",
    );
    // From nothing to a thousand keys while it is looked at.
    for (width, height) in [(1_500, 1_000), (390, 844)] {
        browser.resize(width, height);
        browser.open(&served.url());
        browser.wait_until(
            "the page",
            "return document.querySelector('#status').textContent === 'Ready'",
        );
        let before = served.pipeline()["records_read"].as_u64().unwrap();
        let second = i64::try_from(before / 50).unwrap();
        for step in 0..3 {
            served.send(second + step * 20, 0..1_000);
        }
        served.wait_for_counts(before + 3_000);
        browser.wait_until(
            "the keys",
            "return document.querySelector('#keys .pager .note').textContent === '1–12 of 1,000'",
        );
        browser.run("document.querySelector('#windows').scrollIntoView({ behavior: 'instant' })");
        served.send(second + 60, 0..1_000);
        served.wait_for_counts(before + 4_000);
        let results = served.pipeline()["results_emitted"].as_u64().unwrap();
        browser.wait_until(
            "the newest results",
            &shows(&format!("newest {},000 results", results / 1_000)),
        );
        // The greatest first: places stay, keys change.
        browser.run("const sort = document.querySelector('#sort'); sort.value = 'value'; sort.dispatchEvent(new Event('change'))");
        browser.wait_until(
            "the order",
            "return document.querySelector('#keys button.row').textContent === 'model=m-999'",
        );
        let shifts = browser.run("return shifts");
        let sum: f64 =
            shifts.as_array().unwrap().iter().filter_map(|shift| shift[0].as_f64()).sum();
        // Pages up to 0.1 count as steady; letters that are a pixel narrower in another font come to a thousandth.
        assert!(sum < 0.01, "at {width}: {sum} {shifts}");
        let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth");
        assert_eq!(wide, true, "nothing sticks out at {width}");
    }
    let nodes = browser.run("return document.querySelectorAll('*').length");
    assert!(nodes.as_u64() < Some(1_500), "a page of keys, not all of them: {nodes} nodes");
}

#[test]
fn everything_is_reached_by_keyboard_and_colours_follow_system_and_choice() {
    let Some(browser) = Browser::start() else { return };
    let served = Served::sent();
    served.send(0, 0..30);
    served.send(20, 0..1);
    browser.prefer("dark");
    browser.open(&served.url());
    browser.wait_until(
        "keys",
        "return document.querySelector('#keys .pager .note').textContent === '1–12 of 30'",
    );
    let focus = || {
        browser
            .run("const a = document.activeElement; return a.id || a.dataset.key || a.textContent")
    };
    browser.press(&[keys::TAB]);
    assert_eq!(focus(), "Skip to content");
    browser.press(&[keys::ENTER]);
    assert_eq!(focus(), "content");
    // Search: `/` goes there, the list follows what is typed.
    browser.press(&["/"]);
    assert_eq!(focus(), "search");
    browser.press(&["m", "-", "2"]);
    browser.wait_until(
        "what is searched",
        "return document.querySelector('#keys .pager .note').textContent === '1–11 of 11'",
    );
    browser.run("const s = document.querySelector('#search'); s.value = ''; s.dispatchEvent(new Event('input'))");
    browser.wait_until(
        "all keys",
        "return document.querySelector('#keys .pager .note').textContent === '1–12 of 30'",
    );
    // Rows by arrows, pages by page keys, the choice by Enter.
    browser.run("document.querySelector('#keys button.row').focus()");
    browser.press(&[keys::DOWN, keys::DOWN, keys::UP]);
    assert_eq!(focus(), "model=m-1");
    browser.press(&[keys::ENTER]);
    browser.wait_until(
        "the key",
        "return document.querySelector('#key-title').textContent === 'model=m-1'",
    );
    browser.press(&[keys::PAGE_DOWN]);
    browser.wait_until(
        "the next page",
        "return document.querySelector('#keys button.row').textContent === 'model=m-12'",
    );
    browser.press(&[keys::END]);
    assert_eq!(focus(), "model=m-23");
    assert_eq!(browser.run("return document.querySelectorAll('main [tabindex]:not([tabindex=\"0\"]):not([tabindex=\"-1\"])').length"), 0);
    // Everything that can be pressed shows that it has the focus.
    let ring = browser.run("return getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(ring, "solid");
    // Dark, because the system is; then light, because it was chosen, also after a reload.
    let theme = || browser.run("return document.documentElement.dataset.theme");
    assert_eq!(theme(), "dark");
    browser.run("document.querySelector('#theme').focus()");
    browser.press(&[keys::SPACE]);
    assert_eq!(
        (theme(), browser.run("return getComputedStyle(document.body).backgroundColor")),
        (json!("light"), json!("rgb(245, 246, 248)"))
    );
    browser.open(&served.url());
    assert_eq!(theme(), "light");
    browser.press(&[keys::TAB]);
    browser.run("document.querySelector('#theme').click()");
    assert_eq!(theme(), "dark");
    browser.run("document.querySelector('#theme').click()");
    browser.prefer("light");
    browser.wait_until(
        "the system's colours",
        "return document.documentElement.dataset.theme === 'light'",
    );
}

#[test]
fn a_lost_connection_is_said_and_the_page_goes_on_when_it_is_back() {
    let Some(browser) = Browser::start() else { return };
    let served = Served::sent();
    served.send(0, 0..2);
    served.send(20, 0..1);
    browser.open(&served.url());
    browser.wait_until("numbers", &shows("3 events in all"));
    let (place, address) = served.crash();
    browser.wait_until(
        "the loss",
        "return document.querySelector('#status').textContent === 'Disconnected'",
    );
    let said = browser.run("const l = document.querySelector('#lost'); return [l.getAttribute('role'), l.innerText, getComputedStyle(l).visibility]");
    assert_eq!(said[0], "status");
    assert!(said[1].as_str().unwrap().starts_with("No answer from the processor since "), "{said}");
    assert_eq!(said[2], "visible");
    assert_eq!(tile(&browser, "Accepted").1, "3 events in all", "the numbers of before stay");
    let run = place.start_with(&[], &[("PROCESSOR_HTTP__BIND", &address)]);
    let served = Served { place, run, address };
    browser.wait_until(
        "the connection",
        "return document.querySelector('#status').textContent === 'Ready'",
    );
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('#lost')).visibility !== 'visible' || document.querySelector('#lost').innerText === ''"), true);
    served.send(40, 0..2);
    browser.wait_until("new numbers", &shows("5 events in all"));
}

#[test]
fn axe_finds_no_fault_of_accessibility() {
    let Some(browser) = Browser::start() else { return };
    let served = Served::sent();
    let check_by = |state: &str, rules: &str| {
        browser.run(&format!("if (!window.axe) {{ {AXE} }}"));
        let found = browser.run_async(
            &format!(
                "const {{ violations }} = await axe.run(document, {{ resultTypes: ['violations'] {rules} }});
                 const said = ({{ html, failureSummary }}) => `${{html}} ${{failureSummary}}`;
                 return violations.map(({{ id, nodes }}) => [id, ...nodes.slice(0, 3).map(said)])"
            ),
        );
        assert_eq!(found, json!([]), "{state}");
    };
    let check = |state: &str| check_by(state, "");
    browser.open(&served.url());
    browser
        .wait_until("the page", "return document.querySelector('#status').textContent === 'Ready'");
    check("empty");
    served.send(0, 0..30);
    served.send(25, 0..30);
    served.send(3, 1..2);
    served.send_text("{\"at\":1714521626000,\"model\":\"m-1\"}\n");
    browser.wait_until("numbers", &shows("60 events in all"));
    browser
        .wait_until("the windows", "return document.querySelectorAll('#key tbody tr').length > 0");
    browser.wait_until("the ledgers", &shows("missing_field 1"));
    browser.run("document.querySelectorAll('details').forEach((d) => { d.open = true })");
    check("light");
    browser.prefer("dark");
    let is_dark = "return document.documentElement.dataset.theme === 'dark'";
    browser.wait_until("the colours", is_dark);
    check_by("dark", ", runOnly: ['color-contrast']");
    browser.resize(390, 844);
    check("narrow");
    browser.resize(1_500, 1_000);
    drop(served.crash());
    browser.wait_until(
        "the loss",
        "return document.querySelector('#status').textContent === 'Disconnected'",
    );
    check("disconnected");
}
