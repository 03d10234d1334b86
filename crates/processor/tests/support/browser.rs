//! A real Chromium without a window, driven by the W3C `WebDriver` protocol of its `chromedriver`.
//!
//! Without the two programs (Debian: `chromium`, `chromium-driver`) the tests say loudly that they did not run; with
//! `CI=true` they fail.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything that works may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
/// The key under which `WebDriver` names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys by their code points in `WebDriver`.
pub(crate) mod keys {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
    pub(crate) const DOWN: &str = "\u{e015}";
    pub(crate) const UP: &str = "\u{e013}";
    pub(crate) const PAGE_DOWN: &str = "\u{e00f}";
    pub(crate) const END: &str = "\u{e010}";
    pub(crate) const SPACE: &str = " ";
}

/// A browser with a profile of its own; gone with this value.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    agent: ureq::Agent,
    /// Its folder goes with it.
    profile: TempDir,
}

impl Browser {
    /// A new browser, or `None` where there can be none.
    pub(crate) fn start() -> Option<Self> {
        let (Some(driver), Some(chromium)) = (found("chromedriver"), found("chromium")) else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "no Chromium on this machine, and CI=true: run scripts/setup test"
            );
            eprintln!(
                "NO CHROMIUM (apt-get install chromium chromium-driver): THIS TEST DID NOT RUN"
            );
            return None;
        };
        let (driver, address) = driver_at(&driver);
        let profile = tempfile::Builder::new().prefix("chromium").tempdir().unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.timeout_global(Some(PATIENCE)).build().into();
        let mut browser = Self { driver, address, session: String::new(), agent, profile };
        let wanted = capabilities(&chromium, browser.profile.path());
        let made = browser.post("/session", &wanted);
        browser.session = format!("/session/{}", made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn answer(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>, what: &str) -> Value {
        let mut answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let body: Value = answer.body_mut().read_json().unwrap();
        assert!(answer.status().is_success(), "{what}: {body}");
        body["value"].clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{}{path}", self.address, self.session);
        Self::answer(self.agent.post(&url).send_json(body), path)
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("{}{}{path}", self.address, self.session);
        Self::answer(self.agent.get(&url).call(), path)
    }

    /// A command of the Chrome `DevTools` protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// Goes to a page and waits until it is loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What the body of a function gives in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What the body of an async function gives in the page.
    pub(crate) fn run_async(&self, script: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, (e) => done('failed: ' + e))"
        );
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that `selector` finds, empty without one.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script =
            format!("return document.querySelector({})?.textContent ?? ''", json!(selector));
        self.run(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Clicks as a pointer does.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let element = found[ELEMENT].as_str().unwrap();
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses and releases keys, one after the other, whatever has the focus.
    pub(crate) fn press(&self, keys: &[&str]) {
        let each = |key: &&str| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.iter().flat_map(each).collect();
        let source = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [source] }));
    }

    /// The size of the page that is seen, in CSS pixels.
    pub(crate) fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// What the system's colours are said to be: `light` or `dark`.
    pub(crate) fn prefer(&self, colours: &str) {
        let features =
            json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Runs a script in every page before its own.
    pub(crate) fn before_every_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    /// Writes what is seen as PNG.
    pub(crate) fn screenshot(&self, to: &Path) {
        let png = self.get("/screenshot");
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, STANDARD.decode(png.as_str().unwrap()).unwrap()).unwrap();
    }

    /// What the page said to the console that is an error, but for requests that failed.
    pub(crate) fn errors(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let is_fault = |entry: &&Value| entry["level"] == "SEVERE" && entry["source"] != "network";
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        log.as_array().unwrap().iter().filter(is_fault).map(message).collect()
    }

    /// Waits until the body of a function gives true.
    pub(crate) fn wait_until(&self, what: &str, script: &str) {
        let begun = Instant::now();
        while self.run(script) != Value::Bool(true) {
            if begun.elapsed() > PATIENCE {
                let (seen, errors) = (self.run("return document.body.innerText"), self.errors());
                panic!(
                    "{what} never came: {script}\nerrors: {errors:?}\n{}",
                    seen.as_str().unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The driver ends its browser.
            drop(self.agent.delete(format!("{}{}", self.address, self.session)).call());
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// Where screenshots are written that people look at; git ignores the folder.
pub(crate) fn screenshots() -> PathBuf {
    // …/target/tmp, which cargo makes for tests.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots")
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A driver at a port that it chose.
fn driver_at(program: &Path) -> (Child, String) {
    let mut command = Command::new(program);
    command.args(["--port=0", "--log-level=WARNING"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut driver = command.stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = lines.find_map(|line| {
        let line = line.ok()?;
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    // What it says later goes nowhere, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, format!("http://127.0.0.1:{}", said.unwrap()))
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--lang=en",
        "--window-size=1500,1000",
        &profile,
    ];
    let options = json!({ "binary": chromium, "args": arguments });
    json!({ "capabilities": { "alwaysMatch": {
        "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" }, "timeouts": { "script": 60_000 },
    } } })
}
