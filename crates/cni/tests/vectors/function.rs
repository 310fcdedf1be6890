//! Function vectors: `{fn, in, out}` or `{fn, in, err}`, where `err` is a part
//! of the message.

use ignite_cni::error::chain;
use ignite_cni::{
    NetworkConfig, PluginError, Version, args, attachment, exec, result, stdin, version,
};
use serde_json::{Map, Value, json};

pub fn run(case: &Value) -> Result<(), String> {
    let function = case["fn"].as_str().expect("a function's name");
    let found = call(function, &case["in"]);
    match (
        found,
        case.get("out"),
        case.get("err").and_then(Value::as_str),
    ) {
        (Ok(found), Some(out), _) if found == *out => Ok(()),
        (Err(error), None, Some(part)) if error.contains(part) => Ok(()),
        (found, out, err) => Err(format!(
            "found {found:?}, expected {out:?} or error {err:?}"
        )),
    }
}

fn call(function: &str, input: &Value) -> Result<Value, String> {
    match function {
        "parse_list" => parse_list(input),
        "select_version" => select_version(input),
        "compare_versions" => compare_versions(input),
        "versions_from" => {
            let minimum = version(text(input))?;
            Ok(json!(
                version::known_from(minimum)
                    .iter()
                    .map(Version::to_string)
                    .collect::<Vec<_>>()
            ))
        }
        "parse_version_reply" => version::parse_reply(text(input).as_bytes())
            .map(|list| json!(list))
            .map_err(|e| chain(&e)),
        "parse_args" => parse_args(input),
        "encode_args" => encode_args(input),
        "inject" => inject(input),
        "convert_result" => {
            let object = object(&input["result"])?;
            let converted = result::convert(&object, text(&input["to"]));
            converted
                .map(Value::Object)
                .map_err(|error| error.to_string())
        }
        "encode_result" => {
            let decoded = result::NetworkResult::decode(&object(&input["result"])?);
            let encoded = decoded.and_then(|result| result.encode(text(&input["to"])));
            encoded
                .map(Value::Object)
                .map_err(|error| error.to_string())
        }
        "parse_output" => {
            let parsed =
                result::parse_output(text(&input["stdout"]).as_bytes(), text(&input["version"]));
            parsed.map(Value::Object).map_err(|error| error.to_string())
        }
        "plugin_error" => {
            let part = |key: &str| input[key].as_str().unwrap_or_default().as_bytes();
            let error = PluginError::from_output(part("stdout"), part("stderr"), "exit code 1");
            Ok(
                json!({"code": error.code, "msg": error.msg, "details": error.details, "text": error.to_string()}),
            )
        }
        "validate_ifname" => valid(attachment::validate_ifname(text(input))),
        "validate_network" => valid(attachment::validate_network_name(text(input))),
        "environment" => environment(input),
        other => panic!("no function is called {other}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn object(value: &Value) -> Result<Map<String, Value>, String> {
    value
        .as_object()
        .cloned()
        .ok_or_else(|| "not an object".to_owned())
}

fn version(text: &str) -> Result<Version, String> {
    text.parse()
        .map_err(|error: version::InvalidVersion| error.to_string())
}

fn valid(verdict: Result<(), attachment::Invalid>) -> Result<Value, String> {
    verdict
        .map(|()| Value::Null)
        .map_err(|error| format!("{error} (code {})", error.code()))
}

/// The input is a text or, for readability, the configuration itself.
fn parse_list(input: &Value) -> Result<Value, String> {
    let bytes = input
        .as_str()
        .map_or_else(|| input.to_string(), str::to_owned);
    let config = NetworkConfig::parse_list(bytes.as_bytes()).map_err(|error| chain(&error))?;
    let plugin = |plugin: &ignite_cni::PluginConfig| plugin.kind.clone();
    Ok(json!({
        "name": config.name,
        "cniVersion": config.cni_version,
        "disableCheck": config.disable_check,
        "disableGC": config.disable_gc,
        "plugins": config.plugins.iter().map(plugin).collect::<Vec<_>>(),
        "capabilities": config.capabilities(),
    }))
}

fn select_version(input: &Value) -> Result<Value, String> {
    let declared = input["cniVersion"].as_str().unwrap_or_default();
    let offered: Option<Vec<String>> = input.get("cniVersions").map(|list| {
        list.as_array()
            .expect("an array")
            .iter()
            .map(|item| text(item).to_owned())
            .collect()
    });
    let chosen = version::select(declared, offered.as_deref());
    chosen.map(Value::from).map_err(|error| error.to_string())
}

fn compare_versions(input: &Value) -> Result<Value, String> {
    let (left, right) = (version(text(&input[0]))?, version(text(&input[1]))?);
    Ok(Value::from(
        format!("{:?}", left.cmp(&right)).to_lowercase(),
    ))
}

fn parse_args(input: &Value) -> Result<Value, String> {
    let known: Vec<&str> = input["known"]
        .as_array()
        .expect("an array")
        .iter()
        .map(text)
        .collect();
    let pairs = args::parse_known(text(&input["text"]), &known);
    pairs
        .map(|pairs| json!(pairs))
        .map_err(|error| error.to_string())
}

fn encode_args(input: &Value) -> Result<Value, String> {
    let pairs: args::Pairs = serde_json::from_value(input.clone()).expect("pairs");
    args::encode(&pairs)
        .map(Value::from)
        .map_err(|error| error.to_string())
}

fn inject(input: &Value) -> Result<Value, String> {
    let base = object(&input["base"])?;
    let set = stdin::inject(base, text(&input["key"]), input["value"].clone());
    set.map(Value::Object).map_err(|error| error.to_string())
}

fn environment(input: &Value) -> Result<Value, String> {
    let pairs = |value: &Value| -> Vec<exec::Variable> {
        let pairs: args::Pairs = serde_json::from_value(value.clone()).expect("pairs");
        pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    };
    let made = exec::environment(pairs(&input["base"]), pairs(&input["cni"]));
    let texts = made
        .iter()
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
    Ok(json!(texts.collect::<Vec<_>>()))
}
