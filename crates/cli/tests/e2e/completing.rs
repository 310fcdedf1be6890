//! Names completed by a real bash, and what `ignite version` and `ignite schema` say.

use anyhow::{Result, ensure};
use ignite_testkit::Host;
use serde_json::Value;

/// What bash offers for the last of these words.
fn offered(host: &Host, words: &str) -> Result<Vec<String>> {
    let script = format!(
        r#"source <(ignite completion bash)
        COMP_WORDS=({words}) COMP_TYPE=9
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        last=${{COMP_WORDS[COMP_CWORD]}}
        $(complete -p ignite | sed 's/.*-F \([^ ]*\) .*/\1/') ignite "$last" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\n' "${{COMPREPLY[@]}}""#
    );
    let output = host.command(["bash", "-c", &script]).output()?;
    ensure!(
        output.code == 0 && output.stderr.is_empty(),
        "{words}: {output}"
    );
    Ok(output.stdout.split_whitespace().map(Into::into).collect())
}

#[test]
fn bash_completes_the_names_of_what_there_is() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    for name in ["web", "web-two", "db"] {
        host.ignite(["create", "--name", name, "busy"]).ok()?;
    }
    host.ignite(["network", "create", "blue"]).ok()?;
    ensure!(offered(&host, "ignite unp")? == ["unpause"]);
    ensure!(offered(&host, "ignite run --mem")? == ["--memory"]);
    ensure!(offered(&host, "ignite rm -f we")? == ["web", "web-two"]);
    ensure!(offered(&host, "ignite --quiet vm start d")? == ["db"]);
    ensure!(offered(&host, "ignite inspect bl")? == ["blue"]);
    ensure!(offered(&host, "ignite run --network bl")? == ["blue"]);
    let images = host.ignite(["images", "-t", "{{.Name}}"]).ok()?;
    let image = images.lines().next().unwrap_or_default();
    ensure!(offered(&host, &format!("ignite rmi {}", &image[..2]))?.contains(&image.into()));
    ensure!(!offered(&host, "ignite rmk ''")?.is_empty());
    // A host that cannot be read has no names, and nothing to say of it.
    host.sh("mv /var/lib/ignite /var/lib/away; echo none > /var/lib/ignite")
        .ok()?;
    ensure!(offered(&host, "ignite rm we")?.is_empty());
    host.sh("rm /var/lib/ignite; mv /var/lib/away /var/lib/ignite")
        .ok()?;
    Ok(())
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
