//! `processor demo`, as a newcomer sees it: the address first, numbers in the terminal and on the page within ten seconds,
//! and an incident a while later. Leaves screenshots for people.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use super::support::{
    binary::Workplace,
    browser::{Browser, screenshots},
};

/// A demo, and the lines of its terminal with the time at which they came.
struct Demo {
    child: Child,
    begun: Instant,
    lines: Receiver<(Duration, String)>,
    _place: Workplace,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let place = Workplace::new("");
        let begun = Instant::now();
        let mut command = place.command(&[&["demo"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (told, lines) = channel();
        let terminal = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut lines = terminal.lines().map_while(Result::ok);
            lines.try_for_each(|line| told.send((begun.elapsed(), line)))
        });
        Self { child, begun, lines, _place: place }
    }

    /// The first line for which `wanted` holds, and when it came.
    fn line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> (Duration, String) {
        let patience = Duration::from_secs(40);
        loop {
            let left = patience.saturating_sub(self.begun.elapsed());
            let next = self.lines.recv_timeout(left);
            let (at, line) = next.unwrap_or_else(|_| panic!("{what} never came"));
            if wanted(&line) {
                return (at, line);
            }
        }
    }

    /// Where the dashboard is, which is the first thing that is said.
    fn address(&self) -> String {
        let (_, first) = self.line("a line", |_| true);
        let address = first.strip_prefix("Dashboard: http://").unwrap_or_else(|| panic!("{first}"));
        address.trim_end_matches('/').to_owned()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const IN_TIME: Duration = Duration::from_secs(10);

#[test]
fn the_demo_shows_windows_in_terminal_and_page_within_ten_seconds_and_incidents_later() {
    let browser = Browser::start();
    let demo = Demo::start(&["--bind", "127.0.0.1:0"]);
    let url = format!("http://{}/", demo.address());
    if let Some(browser) = &browser {
        browser.open(&url);
    }
    let (at, _) = demo.line("the trace", |line| line.contains("2023-11-16 18:15:00"));
    assert!(at < IN_TIME, "the trace came after {at:?}");
    let (at, line) = demo.line("a live window", |line| line.contains("model=gpt-4o "));
    assert!(at < IN_TIME, "the first window came after {at:?}");
    let numbers = line.split_whitespace().filter(|word| word.parse::<f64>().is_ok()).count();
    assert!(numbers >= 6, "{line}");
    let Some(browser) = browser else { return };
    browser.wait_until(
        "a window with numbers",
        "const [key, ...numbers] = [...document.querySelector('#keys tbody tr').cells].map((cell) => cell.innerText.trim());
         return key === 'model=claude-3-5-haiku' && numbers.slice(0, 4).every((number) => /^[\\d,.]+$/.test(number))",
    );
    let shown = demo.begun.elapsed();
    assert!(shown < IN_TIME + Duration::from_secs(2), "the page showed a window after {shown:?}");
    // Both streams are there: two pipelines over two partitions.
    let pipelines =
        "return [...document.querySelectorAll('#pipeline option')].map((o) => o.value).join()";
    assert_eq!(browser.run(pipelines), "latency,tokens");
    let sources = "return [...document.querySelectorAll('#partition-table tbody tr')].map((r) => r.cells[0].innerText).join()";
    assert_eq!(browser.run(sources), "generator,azure-trace");
    // An incident: the first is 15 seconds after the start, of the first model; its median is several times what it was.
    let gpt = "const row = [...document.querySelectorAll('#keys tbody tr')].find((r) => r.cells[0].innerText.trim() === 'model=gpt-4o');
               const number = (cell) => Number(cell.innerText.replaceAll(',', ''));";
    let calm = browser.run(&format!("{gpt} return number(row.cells[2])")).as_f64().unwrap();
    browser
        .wait_until("an incident", &format!("{gpt} return number(row.cells[2]) > {}", calm * 1.8));
    photograph(&browser, &url);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

/// Screenshots of what a person sees, in four settings.
fn photograph(browser: &Browser, url: &str) {
    browser.open(&format!("{url}?key=model%3Dgpt-4o"));
    for (name, colours, width) in
        [("light", "light", 1_500), ("dark", "dark", 1_500), ("narrow", "light", 390)]
    {
        browser.prefer(colours);
        browser.resize(width, 1_340);
        browser.wait_until(
            "the chart of the key",
            "return document.querySelectorAll('.uplot canvas').length === 4",
        );
        browser.screenshot(&screenshots().join(format!("dashboard-{name}.png")));
    }
    let whole = browser.run("return document.documentElement.scrollHeight").as_u64().unwrap();
    browser.resize(390, u32::try_from(whole).unwrap());
    browser.screenshot(&screenshots().join("dashboard-narrow-whole.png"));
}

#[test]
fn a_demo_takes_another_port_where_something_else_listens_at_the_usual_one() {
    // Whoever has the usual port, the test or another process: it is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:8080");
    let demo = Demo::start(&[]);
    let address = demo.address();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":8080"), "{address}");
    let page = ureq::get(format!("http://{address}/")).call().unwrap().into_body().read_to_string();
    assert!(page.unwrap().contains("<title>Stream processor</title>"));
    drop(taken);
}
