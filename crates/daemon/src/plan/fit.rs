//! What a manifest leaves open is as the VM was made: other defaults are for new VMs.

use std::borrow::Cow;

use ignite_api::{Vm, VmSpec};
use serde_json::{Map, Value};

use crate::desired::Fault;

/// A manifest as it is meant for a VM that was made with the defaults `then`: what was filled in from
/// those of `today` is filled in from them. What says just what today's default says is taken for
/// open, so that at most a change is not seen.
pub fn fit<'a>(vm: &'a Vm, today: &VmSpec, then: Option<&VmSpec>) -> Result<Cow<'a, Vm>, Fault> {
    let Some(then) = then.filter(|then| *then != today) else {
        return Ok(Cow::Borrowed(vm));
    };
    let value = |spec: &VmSpec| serde_json::to_value(spec).expect("a specification is plain data");
    let fitted = rebased(&value(&vm.spec), &value(today), &value(then));
    let spec = serde_json::from_value(fitted).map_err(|error| {
        Fault::new(format!(
            "spec: the defaults of then and now do not go together: {error}"
        ))
        .with_hint("say in the manifest what `vmDefaults` say")
    })?;
    Ok(Cow::Owned(Vm { spec, ..vm.clone() }))
}

/// Maps field by field, everything else as a whole.
fn rebased(said: &Value, today: &Value, then: &Value) -> Value {
    match (said, today, then) {
        (said, today, then) if said == today => then.clone(),
        (Value::Object(said), Value::Object(today), Value::Object(then)) => {
            let names = said.keys().chain(then.keys());
            let field = |fields: &Map<String, Value>, name: &str| {
                fields.get(name).cloned().unwrap_or_default()
            };
            let of = |name: &String| {
                let [said, today, then] = [said, today, then].map(|fields| field(fields, name));
                (name.clone(), rebased(&said, &today, &then))
            };
            let fields: Map<String, Value> = names.map(of).collect();
            // What is not there is nothing that is said.
            Value::Object(fields.into_iter().filter(|(_, it)| !it.is_null()).collect())
        }
        (said, ..) => said.clone(),
    }
}

#[cfg(test)]
mod tests {
    use ignite_api::{Manifest, RestartPolicy, decode_over};

    use super::*;

    fn vm(spec: &str, defaults: &VmSpec) -> Vm {
        let text = format!(
            "{{apiVersion: ignite.weave.works/v1alpha4, kind: VM, metadata: {{name: web}}, \
             spec: {{image: {{oci: box}}, {spec}}}}}"
        );
        match decode_over(&text, defaults) {
            Ok(Manifest::Vm(vm)) => *vm,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_left_open_is_as_it_was_and_what_is_said_is_said() {
        let none = VmSpec::default();
        let defaults = |spec| VmSpec {
            image: none.image.clone(),
            ..vm(spec, &none).spec
        };
        let then = defaults("cpus: 2, dns: [10.0.0.1], env: [A=1], kernel: {cmdLine: quiet}");
        let today = defaults("cpus: 4, memory: 1GB, restartPolicy: never");
        for manifest in [
            "memory: 700MB",
            "cpus: 3, network: {ports: [{hostPort: 8080, vmPort: 80}]}",
            "env: [B=2], restartPolicy: on-failure, kernel: {cmdLine: debug}",
            "recreateOnChange: true",
        ] {
            for (then, today) in [(&then, &today), (&today, &then), (&none, &today)] {
                let now = vm(manifest, today);
                let fitted = fit(&now, today, Some(then)).expect("it fits");
                assert_eq!(*fitted, vm(manifest, then), "{manifest}");
            }
        }
    }

    #[test]
    fn nothing_is_known_of_the_defaults_of_one_made_by_hand() {
        let vm = vm("cpus: 3", &VmSpec::default());
        let today = VmSpec {
            restart_policy: Some(RestartPolicy::Never),
            ..VmSpec::default()
        };
        let fitted = fit(&vm, &today, None).expect("it fits");
        assert_eq!(*fitted, vm);
    }
}
