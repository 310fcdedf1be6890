//! `ignite dashboard` in a real browser. What it looks like is in `build/e2e/dashboard/`.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Browser, Host, Running, place};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{SOON, Vm};

/// What would be seen if a text became markup.
const MARKUP: &str = "<img src=x onerror=document.title='broken'>";

/// A label that reads backwards where what turns a text around is let through.
const TURNED: &str = "turned=\u{202e}txt.exe";

/// A dashboard of a host, and the address it printed.
struct Served {
    process: Running,
    url: String,
}

impl Served {
    fn start(host: &Host, options: &[&str]) -> Result<Self> {
        let mut process = host.ignite([&["dashboard"], options].concat()).start()?;
        let url = process.wait_for("http://", SOON)?;
        Ok(Self { process, url })
    }

    /// The address without its key.
    fn origin(&self) -> &str {
        self.url.split('#').next().unwrap_or_default()
    }

    /// As from a terminal: it ends, and says that all is well.
    fn interrupt(self) -> Result<()> {
        self.process.signal(Signal::INT)?;
        let output = self.process.wait(SOON)?;
        ensure!(output.code == 0, "{output}");
        Ok(())
    }
}

/// A network of bridges with addresses of its own.
fn network(host: &Host, file: &str, name: &str, subnet: &str) -> Result<()> {
    let ipam = json!({ "type": "host-local", "ranges": [[{ "subnet": subnet }]], "routes": [{ "dst": "0.0.0.0/0" }] });
    let bridge =
        json!({ "type": "bridge", "bridge": format!("{name}0"), "isGateway": true, "ipam": ipam });
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let list = json!({ "cniVersion": "1.0.0", "name": name, "plugins": [bridge, portmap] });
    host.write(&format!("/etc/cni/net.d/{file}"), list.to_string())
}

fn run<'h>(host: &'h Host, name: &str, options: &[&str]) -> Result<Vm<'h>> {
    let options = [&["--name", name], options].concat();
    Vm::run_image(host, &options, &place::image("busy")?, &[])
}

/// The names in the list, in its order.
const NAMES: &str =
    "[...document.querySelectorAll('#list tbody tr .strong')].map((it) => it.textContent).join()";

fn shows(browser: &mut Browser, names: &str) -> Result<()> {
    let wanted = format!("{NAMES} === '{names}'");
    browser
        .wait(&format!("the list to be {names}"), &wanted)
        .map(drop)
}

/// Whether each row of a VM that runs has its colour, its numbers and its curves.
const USED: &str = "[...document.querySelectorAll('#list tbody tr[data-tone=running]')].every((row) => \
    row.querySelector('.dot').matches('[class*=\" s\"]') \
    && row.querySelector('.memory .number').textContent.endsWith('B') \
    && row.querySelectorAll('.spark').length === 2)";

/// What has the focus, in words.
fn focused(browser: &mut Browser) -> Result<String> {
    let named = "(({ id, dataset, tagName }) => \
        id || dataset.rove || dataset.uid || tagName)(document.activeElement)";
    let value = browser.evaluate(named)?;
    Ok(value.as_str().context("a name")?.to_owned())
}

/// The page complained of nothing, asked nobody else, and no text of a stranger became markup.
fn nothing_odd(browser: &mut Browser, served: &Served) -> Result<()> {
    let broken = browser.evaluate(
        "document.title === 'broken' || document.querySelector('img[onerror]') !== null",
    )?;
    ensure!(broken == false, "a text became markup");
    ensure!(
        browser.complaints().is_empty(),
        "{:#?}",
        browser.complaints()
    );
    let others = browser
        .requests()
        .iter()
        .filter(|url| !url.starts_with(served.origin()));
    let others: Vec<&String> = others.filter(|url| *url != "about:blank").collect();
    ensure!(others.is_empty(), "it asked for {others:?}");
    let keyed = browser.requests().iter().find(|url| {
        url.contains(
            served
                .url
                .trim_start_matches(served.origin())
                .trim_start_matches('#'),
        )
    });
    ensure!(keyed.is_none(), "the key is in {keyed:?}");
    Ok(())
}

#[test]
fn vms_appear_and_vanish() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let served = Served::start(&host, &[])?;
    let mut browser = Browser::open(&host, &served.url)?;
    browser.wait(
        "the first command to type",
        "!document.getElementById('empty').hidden",
    )?;
    browser.wait(
        "the stream",
        "document.getElementById('link-text').textContent === 'Live'",
    )?;
    ensure!(
        browser.evaluate("location.hash")? == "",
        "the key stays in the address"
    );
    let advice = "document.getElementById('networks').innerText";
    let advice = browser.evaluate(advice)?.to_string();
    ensure!(advice.contains("ignite run"), "{advice}");
    ensure!(
        !advice.contains("Arrows"),
        "there is nothing to move on: {advice}"
    );
    browser.screenshot("dashboard/empty")?;
    let web = run(&host, "web", &["-p", "8080:80"])?;
    shows(&mut browser, "web")?;
    let address = web.address()?;
    let drawn = format!("document.querySelector('.map').textContent.includes('eth0 {address}')");
    browser.wait("its node", &drawn)?;
    browser.wait(
        "how to move on the map",
        "document.getElementById('networks').innerText.includes('Arrows move') \
            && document.getElementById('no-networks').hidden",
    )?;
    browser.wait(
        "its port",
        "document.querySelector('#list .ports').textContent === '0.0.0.0:8080->80/tcp'",
    )?;
    web.verb("stop")?;
    browser.wait(
        "its end",
        "document.querySelector('#list .status').textContent.startsWith('Stopped')",
    )?;
    web.verb("rm")?;
    browser.wait("its going", "!document.getElementById('empty').hidden")?;
    // A page that is loaded again has its key still, and another tab has none.
    browser.go(served.origin())?;
    browser.wait(
        "the stream",
        "document.getElementById('link-text').textContent === 'Live'",
    )?;
    nothing_odd(&mut browser, &served)?;
    served.interrupt()?;
    browser
        .wait(
            "that nobody answers",
            "document.getElementById('link-text').textContent === 'No connection'",
        )
        .map(drop)
}

/// Several VMs on two networks, one of them stopped; a stranger's names.
fn crowd<'h>(host: &'h Host) -> Result<Vec<Vm<'h>>> {
    network(host, "10-front.conflist", "front", "10.71.0.0/24")?;
    network(host, "20-back.conflist", "back", "10.72.0.0/24")?;
    host.write(
        &format!("/etc/cni/net.d/30-{}.conflist", MARKUP.replace('/', "")),
        "{ not json",
    )?;
    let both = ["--network", "front", "--network", "back"];
    let label = format!("note={MARKUP}");
    let vms = vec![
        run(
            host,
            "web",
            &[&both[..], &["-p", "8080:80", "-l", &label]].concat(),
        )?,
        run(host, "api", &[&both[..], &["-p", "9000:9000"]].concat())?,
        run(host, "database", &["--network", "back", "-l", TURNED])?,
        run(host, "mail", &["--network", "front", "-p", "2525:25"])?,
        run(host, "batch", &["--network", "back"])?,
    ];
    vms[3].verb("stop")?;
    Ok(vms)
}

#[test]
fn a_keyboard_is_enough() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let vms = crowd(&host)?;
    let served = Served::start(&host, &[])?;
    let mut browser = Browser::open(&host, &served.url)?;
    shows(&mut browser, "api,batch,database,web,mail")?;
    // Tab reaches each part once.
    let mut stops = Vec::new();
    for _ in 0..8 {
        browser.press(&["Tab"])?;
        stops.push(focused(&mut browser)?);
    }
    let (api, batch) = (&vms[1].uid, &vms[4].uid);
    assert_eq!(
        &stops[..5],
        ["A", "search", "theme", api.as_str(), "network:front"],
        "{stops:?}"
    );
    let outlined = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
    ensure!(
        browser.evaluate(outlined)? == true,
        "the focus is not to be seen"
    );
    // Arrows move in the list; what is sought is found; Enter opens, Esc closes.
    browser.press(&["/"])?;
    assert_eq!(focused(&mut browser)?, "search");
    browser.press(&["Enter", "ArrowDown"])?;
    assert_eq!(focused(&mut browser)?, *batch);
    browser.press(&["/"])?;
    browser.type_text("data 10.72")?;
    shows(&mut browser, "database")?;
    browser.press(&["Enter", "Enter"])?;
    browser.wait(
        "its details",
        "document.querySelector('dialog[open] h2').textContent === 'database'",
    )?;
    assert_eq!(focused(&mut browser)?, "tab-Overview");
    let still = "document.querySelector('dialog[open]').getAnimations().length === 0";
    browser.wait("the panel to be in", still)?;
    browser.screenshot("dashboard/panel")?;
    browser.press(&["End"])?;
    browser.wait(
        "all of it",
        "document.querySelector('#panel-body pre').textContent.includes('\"kind\": \"VM\"')",
    )?;
    let inspected = browser.evaluate("document.querySelector('#panel-body pre').textContent")?;
    let inspected = inspected.as_str().context("a text")?;
    ensure!(inspected.contains("\\u202etxt.exe"), "{inspected}");
    browser.press(&["Escape"])?;
    assert_eq!(focused(&mut browser)?, vms[2].uid);
    browser.wait("what it uses", USED)?;
    // Asked in one step, so that no second passes: rows that come back are as those that stayed.
    let back = format!(
        "(() => {{
            const search = document.getElementById('search');
            search.value = '';
            search.dispatchEvent(new Event('input'));
            return {USED};
        }})()"
    );
    ensure!(browser.evaluate(&back)? == true, "rows come back empty");
    browser.press(&["/", "Escape"])?;
    shows(&mut browser, "api,batch,database,web,mail")?;
    // And among the nodes of the map.
    browser.press(&["Tab", "ArrowDown"])?;
    assert_eq!(focused(&mut browser)?, "network:back");
    browser.press(&["Enter"])?;
    let lit = "document.querySelector('[data-rove=\"network:back\"]').getAttribute('aria-pressed')";
    ensure!(browser.evaluate(lit)? == "true", "the network is not lit");
    browser.screenshot("dashboard/network")?;
    browser.press(&["Escape", "ArrowRight"])?;
    assert_eq!(focused(&mut browser)?, format!("vm:{api}"));
    browser.press(&["Enter"])?;
    browser.wait(
        "its details",
        "document.querySelector('dialog[open] h2').textContent === 'api'",
    )?;
    browser.press(&["Escape"])?;
    assert_eq!(focused(&mut browser)?, format!("vm:{api}"));
    nothing_odd(&mut browser, &served)
}

/// The contrast of each text's colour with each ground, as WCAG 2.1 counts it, and of each badge with its own; those below 4.5.
const FAINT: &str = "(() => {
    const probe = document.body.appendChild(document.createElement('i'));
    const light = (color) => {
        probe.style.color = color;
        const computed = getComputedStyle(probe).color;
        const most = computed.startsWith('color(') ? 1 : 255;
        const parts = computed.replace('color(srgb', '').match(/[0-9.]+/g).map((part) => part / most);
        const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const grounds = ['surface', 'ground', 'raised'].map((name) => `var(--${name})`);
    const texts = ['text', 'muted', 'running', 'paused', 'failed'].map((name) => `var(--${name})`);
    const badges = [['running', 'running'], ['paused', 'paused'], ['failed', 'failed'], ['muted', 'stopped']];
    const pairs = [
        ...texts.flatMap((text) => grounds.map((ground) => [text, ground])),
        ...badges.flatMap(([text, tone]) => grounds.map((ground) =>
            [`var(--${text})`, `color-mix(in srgb, var(--${tone}) 9%, ${ground})`])),
    ].map(([text, ground]) => [text, ground, contrast(light(text), light(ground))]);
    probe.remove();
    return pairs.filter(([,, it]) => it < 4.5).map((pair) => pair.join(' ')).join();
})()";

#[test]
fn it_looks_well_in_light_and_dark_and_narrow_windows() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let _vms = crowd(&host)?;
    let served = Served::start(&host, &[])?;
    let mut browser = Browser::open(&host, &served.url)?;
    shows(&mut browser, "api,batch,database,web,mail")?;
    let said = browser.wait(
        "the broken file",
        "document.getElementById('notice').innerText",
    )?;
    ensure!(
        said.as_str().is_some_and(|said| said.contains("onerror")),
        "{said}"
    );
    let points =
        "(document.querySelector('#curves .line')?.getAttribute('d').split('L').length ?? 0) > 4";
    for scheme in ["light", "dark"] {
        browser.wish(&[
            ("prefers-color-scheme", scheme),
            ("prefers-reduced-motion", "reduce"),
        ])?;
        browser.resize(1440, 900)?;
        browser.wait("some points", points)?;
        browser.screenshot(&format!("dashboard/{scheme}"))?;
        assert_eq!(browser.evaluate(FAINT)?, "", "in {scheme}");
        browser.resize(390, 1900)?;
        let fits = "document.documentElement.scrollWidth <= 390";
        ensure!(
            browser.evaluate(fits)? == true,
            "it is wider than its window"
        );
        browser.screenshot(&format!("dashboard/{scheme}-narrow"))?;
    }
    // A person's choice is kept, whatever the system wants.
    browser.resize(1440, 900)?;
    browser.evaluate("document.getElementById('theme').click()")?;
    browser.go(served.origin())?;
    browser.wait(
        "the choice",
        "document.documentElement.dataset.theme === 'light'",
    )?;
    nothing_odd(&mut browser, &served)
}

#[test]
fn traffic_and_console_of_a_guest_are_seen_as_they_come() -> Result<()> {
    let host = Host::new("alpha")?;
    let script = format!(
        "printf '\\033[31mred\\033[0m %s\\n' \"{MARKUP}\"; n=0; while :; do echo tick $n; n=$((n+1)); sleep 1; done"
    );
    let vm = Vm::run_script(&host, &["--name", "talker"], &script)?;
    let served = Served::start(&host, &[])?;
    let mut browser = Browser::open(&host, &served.url)?;
    shows(&mut browser, "talker")?;
    let address = vm.address()?;
    let _traffic = host
        .command(["ping", "-q", "-i", "0.02", "-s", "1200", &address])
        .start()?;
    let flows = "document.querySelector('#curves .legend .value')?.textContent.endsWith('kB/s')";
    browser.wait("traffic", flows)?;
    let curve = "document.querySelector('#curves .line').getAttribute('d')";
    let before = browser.evaluate(curve)?;
    browser.wait("the curve to move", &format!("{curve} !== {before}"))?;
    browser.wait(
        "a line that is busy",
        "document.querySelector('.map .busy') !== null",
    )?;
    browser.press(&["/", "Enter", "Enter", "ArrowRight"])?;
    let both = "document.querySelectorAll('#panel-body .line').length >= 4";
    browser.wait("its own curves", both)?;
    browser.wait(
        "some points",
        "document.querySelector('#panel-body .line').getAttribute('d').split('L').length > 4",
    )?;
    browser.screenshot("dashboard/usage")?;
    browser.press(&["ArrowRight"])?;
    let console = "document.querySelector('#panel-body .console').textContent";
    browser.wait(
        "its first line",
        &format!("{console}.includes(`red {MARKUP}\\n`)"),
    )?;
    let said = browser.evaluate(&format!(
        "Number({console}.match(/tick (\\d+)\\n$/)?.[1] ?? 0)"
    ))?;
    let later = format!(
        "{console}.includes('tick {}')",
        said.as_u64().unwrap_or_default() + 2
    );
    browser.wait("what it says next", &later)?;
    browser.screenshot("dashboard/console")?;
    vm.verb("kill")?;
    browser.wait(
        "its end",
        "document.querySelector('dialog .badge').textContent.startsWith('Killed')",
    )?;
    vm.verb("rm")?;
    browser.wait(
        "its going",
        "document.querySelector('dialog .badge').textContent === 'Removed'",
    )?;
    // Its console is gone with it, which the browser tells as a failed request.
    ensure!(
        browser
            .complaints()
            .iter()
            .all(|it| it.contains("/console")),
        "{:#?}",
        browser.complaints()
    );
    Ok(())
}

#[test]
fn the_api_is_for_who_has_the_key() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let _vm = run(&host, "web", &[])?;
    let served = Served::start(&host, &["--listen", "127.0.0.1:0"])?;
    let key = served.url.split_once('#').context("a key")?.1.to_owned();
    let state = format!("{}api/state", served.origin());
    let status = |words: &[&str]| {
        let asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"];
        host.command(asked.iter().chain(words).copied()).ok()
    };
    assert_eq!(status(&[&state])?, "401");
    let bearer = format!("Authorization: Bearer {key}");
    assert_eq!(status(&["-H", &bearer, &state])?, "200");
    assert_eq!(
        status(&["-H", &bearer, "-H", "Host: evil.example", &state])?,
        "421"
    );
    assert_eq!(status(&["-H", &bearer, "-X", "DELETE", &state])?, "405");
    let found: Value =
        serde_json::from_str(&host.command(["curl", "-s", "-H", &bearer, &state]).ok()?)?;
    assert_eq!(found["vms"][0]["name"], "web");
    // A browser without it is told what to do.
    let mut browser = Browser::open(&host, served.origin())?;
    browser.wait(
        "the reason",
        "document.getElementById('notice').innerText.includes('ignite dashboard printed')",
    )?;
    served.interrupt()
}

#[test]
fn addresses_that_cannot_be_or_should_not() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let served = Served::start(&host, &[])?;
    host.ignite(["dashboard"])
        .output()?
        .refused(1, &["127.0.0.1:4280", "--listen"])?;
    host.ignite(["dashboard", "--listen", "0.0.0.0:0"])
        .output()?
        .refused(2, &["0.0.0.0:0", "ssh -L", "--allow-remote"])?;
    host.ignite(["dashboard", "--listen", "192.0.2.9:80", "--allow-remote"])
        .output()?
        .refused(1, &["192.0.2.9:80"])?;
    host.ignite(["dashboard", "--listen", "here"])
        .output()?
        .refused(2, &["here"])?;
    let nobody = host.sh("exec setpriv --reuid 65534 --clear-groups \"$(command -v ignite)\" dashboard --listen 127.0.0.1:0");
    nobody.output()?.refused(1, &["root"])?;
    served.interrupt()
}
