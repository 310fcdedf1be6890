//! A real browser on a host: headless Chromium, told what to do by the DevTools protocol.
//!
//! ```text
//!  test --> Browser -- NUL-ended JSON, through pipes --> chromium in the host's namespaces
//! ```
//! All that the page complains of, and all it asks for, is kept for the test to judge.

mod fonts;
mod keys;

use std::io::Write as _;
use std::path::Path;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::{Host, Running, place};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a page.
const STEP: Duration = Duration::from_millis(50);

/// Nothing but the page: no updates, no accounts, no sandbox, which root cannot have.
const FLAGS: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage \
    --disable-extensions --hide-scrollbars --force-color-profile=srgb --remote-debugging-pipe";

/// A tab of a browser. The browser ends when it is dropped.
pub struct Browser {
    process: Running,
    commands: ChildStdin,
    session: Option<String>,
    number: u64,
    complaints: Vec<String>,
    requests: Vec<String>,
}

impl Browser {
    /// Starts a browser on a host and opens an address.
    ///
    /// # Errors
    /// If it is missing or does not come up.
    pub fn open(host: &Host, url: &str) -> Result<Self> {
        let tree = place::built("chromium")?;
        host.write("/run/fonts.conf", fonts::configuration(&tree))?;
        let mut process = host.sh(&script(&tree)).start()?;
        let commands = process.take_stdin().context("stdin is a pipe")?;
        let mut browser = Self {
            process,
            commands,
            session: None,
            number: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
        };
        browser.attach()?;
        browser.resize(1440, 900)?;
        browser.go(url)?;
        Ok(browser)
    }

    fn attach(&mut self) -> Result<()> {
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let target = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", target)?;
        let session = attached["sessionId"].as_str().context("a session")?;
        self.session = Some(session.to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Opens an address.
    ///
    /// # Errors
    /// If there is nothing.
    pub fn go(&mut self, url: &str) -> Result<()> {
        let gone = self.call("Page.navigate", json!({ "url": url }))?;
        ensure!(gone["errorText"].is_null(), "{url}: {}", gone["errorText"]);
        self.wait("the page", "document.readyState === 'complete'")
            .map(drop)
    }

    /// The value of a JavaScript expression; promises are waited for.
    ///
    /// # Errors
    /// If it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let asked =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{expression}: {thrown}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// The value of an expression, once it is neither null, false, 0 nor empty.
    ///
    /// # Errors
    /// If that does not come to be; with what the page shows.
    pub fn wait(&mut self, what: &str, expression: &str) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let value = self.evaluate(expression)?;
            let is_so = match &value {
                Value::Null => false,
                Value::Bool(value) => *value,
                Value::Number(value) => value.as_f64() != Some(0.0),
                Value::String(value) => !value.is_empty(),
                Value::Array(_) | Value::Object(_) => true,
            };
            if is_so {
                return Ok(value);
            }
            if Instant::now() > end {
                let shown = self.evaluate("document.body.innerText")?;
                let complaints = &self.complaints;
                bail!("waited {PATIENCE:?} for {what}; {complaints:?}; the page shows:\n{shown}");
            }
            std::thread::sleep(STEP);
        }
    }

    /// Presses keys, one after another: names as JavaScript has them, `Shift+Tab` too.
    ///
    /// # Errors
    /// If a key is not known here.
    pub fn press(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            for event in keys::events(name)? {
                self.call("Input.dispatchKeyEvent", event)?;
            }
        }
        Ok(())
    }

    /// Types a text into what has the focus.
    ///
    /// # Errors
    /// If the browser is gone.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({ "text": text }))
            .map(drop)
    }

    /// Gives the window another size, in pixels.
    ///
    /// # Errors
    /// If the browser is gone.
    pub fn resize(&mut self, width: u32, height: u32) -> Result<()> {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size)
            .map(drop)
    }

    /// What the page finds when it asks for the system's wishes: `prefers-color-scheme`, `dark`.
    ///
    /// # Errors
    /// If the browser is gone.
    pub fn wish(&mut self, features: &[(&str, &str)]) -> Result<()> {
        let features: Vec<Value> = features
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .map(drop)
    }

    /// Writes what the page looks like to `build/e2e/NAME.png`.
    ///
    /// # Errors
    /// If it cannot.
    pub fn screenshot(&mut self, name: &str) -> Result<()> {
        let path = place::build("e2e").join(format!("{name}.png"));
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png" }))?;
        let data = taken["data"].as_str().context("a picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(data)?;
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(&path, bytes).with_context(|| path.display().to_string())
    }

    /// What the page's console and the browser complained of until now.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// The addresses the page asked for until now.
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// Sends a command and waits for its answer; events in between are noted.
    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&command)?;
        bytes.push(0);
        self.commands
            .write_all(&bytes)
            .context("the browser is gone")?;
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self
                .process
                .line(left)
                .with_context(|| format!("the answer to {method}"))?;
            let mut message: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
            if message["id"] == self.number {
                ensure!(message["error"].is_null(), "{method}: {}", message["error"]);
                return Ok(message["result"].take());
            }
            self.note(&message["method"], &message["params"]);
        }
    }

    fn note(&mut self, method: &Value, event: &Value) {
        match method.as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                let url = event["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            "Runtime.exceptionThrown" => {
                self.complaints.push(event["exceptionDetails"].to_string())
            }
            "Log.entryAdded" => self.complaints.push(event["entry"].to_string()),
            "Runtime.consoleAPICalled" => self.complaints.push(event["args"].to_string()),
            "Page.javascriptDialogOpening" => self.complaints.push(format!("a dialog: {event}")),
            _ => {}
        }
    }
}

/// The browser with its pipes where it wants them; a line for each message, so that it can be read by lines.
fn script(tree: &Path) -> String {
    let tree = tree.display();
    format!(
        "libraries=$(echo {tree}/usr/lib/*-linux-gnu)
         export TMPDIR=$(mktemp -d /run/browser.XXXXXX)
         export FONTCONFIG_FILE=/run/fonts.conf DBUS_SESSION_BUS_ADDRESS=unix:path=/dev/null
         LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio {tree}/usr/lib/chromium/chromium {FLAGS} \
             --user-data-dir=$TMPDIR/profile \
             3<&0 4>&1 </dev/null >/dev/null 2>/run/browser.log | stdbuf -oL tr '\\0' '\\n'"
    )
}
