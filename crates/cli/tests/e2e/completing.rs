//! Names completed by a real bash, zsh and fish, and what `ignite version` and `ignite schema` say.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place};
use serde_json::Value;

use crate::support::SOON;

/// A network, to be named.
const BLUE: &str = r#"{ "cniVersion": "0.4.0", "name": "blue", "plugins": [
    { "type": "bridge", "bridge": "blue0", "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" } }
] }"#;

/// What bash offers for the last of these words.
fn offered(host: &Host, words: &str) -> Result<Vec<String>> {
    offered_of(host, "/var/lib/ignite", words)
}

/// The same with what there is in another directory.
fn offered_of(host: &Host, directory: &str, words: &str) -> Result<Vec<String>> {
    let script = format!(
        r#"source <(ignite completion bash)
        COMP_WORDS=({words}) COMP_TYPE=9 COMP_LINE="{words}" COMP_WORDBREAKS=$' \t'
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        last=${{COMP_WORDS[COMP_CWORD]}}
        $(complete -p ignite | sed 's/.*-F \([^ ]*\) .*/\1/') ignite "$last" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\n' "${{COMPREPLY[@]}}""#
    );
    let bash = host.command(["bash", "-c", &script]);
    let output = bash.env("IGNITE_DATA_DIR", directory).output()?;
    ensure!(
        output.code == 0 && output.stderr.is_empty(),
        "{words}: {output}"
    );
    Ok(output.stdout.split_whitespace().map(Into::into).collect())
}

/// Checks what is offered for the last of these words.
fn offers(host: &Host, words: &str, expected: &[&str]) -> Result<()> {
    let offered = offered(host, words)?;
    ensure!(offered == expected, "{words}: {offered:?}");
    Ok(())
}

#[test]
fn bash_completes_the_names_of_what_there_is() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    for name in ["web", "web-two", "db"] {
        host.ignite(["create", "--name", name, "busy"]).ok()?;
    }
    host.write("/etc/cni/net.d/20-blue.conflist", BLUE)?;
    offers(&host, "ignite unp", &["unpause"])?;
    offers(&host, "ignite run --mem", &["--memory"])?;
    offers(&host, "ignite rm -f we", &["web", "web-two"])?;
    offers(&host, "ignite --quiet vm start d", &["db"])?;
    offers(&host, "ignite inspect bl", &["blue"])?;
    offers(&host, "ignite run --network bl", &["blue"])?;
    let images = host.ignite(["images", "-t", "{{.Name}}"]).ok()?;
    let image = images.lines().next().unwrap_or_default();
    ensure!(offered(&host, &format!("ignite rmi {}", &image[..2]))?.contains(&image.into()));
    ensure!(!offered(&host, "ignite rmk ''")?.is_empty());
    // A host that cannot be read has no names, and nothing to say of it.
    host.write("/run/none", "")?;
    for directory in ["/run/none", "/run/nowhere"] {
        ensure!(offered_of(&host, directory, "ignite rm we")?.is_empty());
    }
    Ok(())
}

/// At a terminal bash breaks words at colons and equal signs, and puts what it is given in the place of
/// what is behind the last.
#[test]
fn names_with_a_colon_are_completed_at_a_terminal() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let bash = host.command(["bash", "--norc", "--noprofile", "-i"]);
    let mut shell = bash.env("TERM", "xterm").at_terminal(30, 200)?;
    shell.type_in("source <(ignite completion bash); echo $((1 + 1))-begins\r")?;
    shell.wait_for("2-begins", SOON)?;
    for typed in ["busy:la\t", "busy:\t", "bus\t", "'busy:lat\t"] {
        let rest = " -t 'got-{{.ObjectMeta.Name}}'";
        shell.type_in(format!("ignite inspect image {typed}{rest}\r"))?;
        shell
            .wait_for("got-busy:latest", SOON)
            .with_context(|| typed.escape_debug().to_string())?;
    }
    shell.type_in("ignite version --output=js\t\r")?;
    shell.wait_for("igniteVersion", SOON)?;
    shell.type_in("exit 3\r")?;
    shell.ends_with(3, SOON)
}

#[test]
fn fish_completes_the_names_of_what_there_is() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.ignite(["create", "--name", "only", "busy"]).ok()?;
    let fish = place::built("shells/bin/fish")?.display().to_string();
    let offered = |program: &str, words: &str| {
        let script = format!("{program} completion fish | source; complete -C '{words}'");
        let fish = host.command([fish.as_str(), "--no-config", "-c", &script]);
        fish.env("HOME", "/run").env("XDG_CONFIG_HOME", "/run").ok()
    };
    for (program, words, expected) in [
        ("ignite", "ignite rm on", "only"),
        ("ignite", "ignite cp on", "only:"),
        ("ignite", "ignite unp", "unpause"),
        ("ignite", "ignite run --mem", "--memory"),
        ("ignited", "ignited gito", "gitops"),
        ("ignited", "ignited daemon --log-l", "--log-level"),
    ] {
        let offered = offered(program, words)?;
        // A description may follow.
        let names = offered.lines().map(|line| line.split('\t').next());
        ensure!(
            names.eq([Some(expected)]),
            "{words}: {offered:?}, not {expected}"
        );
    }
    Ok(())
}

#[test]
fn zsh_completes_the_names_of_what_there_is() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.ignite(["create", "--name", "only", "busy"]).ok()?;
    let tree = place::built("shells")?.display().to_string();
    let zsh = host.command([format!("{tree}/bin/zsh"), "-f".into(), "-i".into()]);
    let mut shell = zsh.env("TERM", "xterm").at_terminal(30, 200)?;
    // It is not where it was built for.
    shell.type_in(format!(
        "module_path=({tree}/usr/lib/*/zsh/*(/)); fpath=({tree}/usr/share/zsh/functions/**/*(/))\r"
    ))?;
    shell.type_in("setopt zle; autoload -Uz compinit; compinit -u -D\r")?;
    shell.type_in("source <(ignite completion zsh); source <(ignited completion zsh)\r")?;
    shell.type_in("echo $((1 + 1))-begins\r")?;
    shell.wait_for("2-begins", SOON)?;
    for (typed, shown) in [
        (
            "ignite inspect vm on\t -t 'got-{{.ObjectMeta.Name}}'\r",
            "got-only",
        ),
        ("ignite unp\t --help\r", "Resume paused VMs"),
        ("ignited gito\t --help\r", "ignited gitops git@example.org"),
    ] {
        shell.type_in(typed)?;
        shell.wait_for(shown, SOON)?;
    }
    shell.type_in("exit 3\r")?;
    shell.ends_with(3, SOON)
}

#[test]
fn help_is_short_unless_all_of_it_is_asked_for() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let help = |words: &[&str]| host.ignite(words).ok();
    let alone = help(&[])?;
    ensure!(
        alone.contains("More (`ignite help` describes them)"),
        "{alone}"
    );
    for words in [["-h"], ["--help"]] {
        ensure!(help(&words)? == alone, "{words:?}");
    }
    let all = help(&["help"])?;
    ensure!(
        all.contains("\n  overlay") && !alone.contains("\n  overlay"),
        "{all}"
    );
    for command in [&["run"][..], &["vm", "create"], &["network", "gc"]] {
        let short = help(&[command, &["--help"]].concat())?;
        ensure!(short == help(&[command, &["-h"]].concat())?, "{short}");
        ensure!(short.contains("all of it: ignite help COMMAND"), "{short}");
        let all = help(&[&["help"], command].concat())?;
        ensure!(all.lines().count() > short.lines().count(), "{all}");
    }
    // A program's own flag is its own.
    host.ignite(["exec", "no-such-vm", "ls", "--help"])
        .output()?
        .refused(125, &["no-such-vm"])
}

#[test]
fn the_version_has_the_fields_scripts_know() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let short = host.ignite(["version", "-o", "short"]).ok()?;
    let json: Value = serde_json::from_str(&host.ignite(["version", "-o", "json"]).ok()?)?;
    ensure!(json["igniteVersion"]["version"] == short, "{json:#}");
    ensure!(
        json["igniteVersion"]["gitVersion"] == format!("v{short}"),
        "{json:#}"
    );
    ensure!(json["vmm"]["version"].is_string(), "{json:#}");
    let yaml = host.ignite(["version", "-o", "yaml"]).ok()?;
    ensure!(yaml.contains(&format!("gitVersion: v{short}")), "{yaml}");
    let lines = host.ignite(["version"]).ok()?;
    ensure!(lines.lines().count() == 2, "{lines}");
    host.ignite(["version", "-o", "xml"])
        .output()?
        .refused(2, &["xml", "short"])?;
    let output = host.command(["ignited", "version", "-o", "json"]).ok()?;
    let daemon: Value = serde_json::from_str(&output)?;
    ensure!(
        daemon["ignitedVersion"] == json["igniteVersion"],
        "{daemon:#}"
    );
    Ok(())
}

#[test]
fn schemas_are_printed_by_kind() -> Result<()> {
    let host = Host::bare("alpha")?;
    let all: Value = serde_json::from_str(&host.ignite(["schema"]).ok()?)?;
    ensure!(all["allOf"].as_array().is_some_and(|it| it.len() == 4));
    for (kind, title) in [
        ("vm", "VM"),
        ("Image", "Image"),
        ("kernel", "Kernel"),
        ("config", "Configuration"),
    ] {
        let schema: Value = serde_json::from_str(&host.ignite(["schema", kind]).ok()?)?;
        ensure!(schema["title"] == title, "{kind}: {}", schema["title"]);
    }
    host.ignite(["schema", "pod"])
        .output()?
        .refused(2, &["pod", "configuration"])
}
