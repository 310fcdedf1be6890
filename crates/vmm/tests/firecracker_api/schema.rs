//! As much of the description's language (Swagger 2.0) as it takes to check a request: paths, references,
//! types, required fields, enumerations and bounds. A field that is not described is an error, as it is
//! to Firecracker.

use serde_json::Value;

/// An API description.
pub struct Description(Value);

impl Description {
    /// Out of YAML.
    pub fn parse(text: &str) -> Self {
        Self(serde_saphyr::from_str(text).expect("the description is YAML"))
    }

    /// Checks one request.
    pub fn check(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(), String> {
        let operation = self.operation(method, path)?;
        let parameters = operation["parameters"].as_array();
        let wanted = parameters.and_then(|list| list.iter().find(|one| one["in"] == "body"));
        match (wanted, body) {
            (Some(wanted), Some(body)) => self.fits(&wanted["schema"], body, path),
            (Some(wanted), None) if wanted["required"] == true => {
                Err(format!("{method} {path} wants a body"))
            }
            (None, Some(_)) => Err(format!("{method} {path} takes no body")),
            (_, None) => Ok(()),
        }
    }

    /// The codes an operation answers with; 500 stands for all that have none of their own.
    pub fn codes(&self, method: &str, path: &str) -> Vec<u16> {
        let operation = self.operation(method, path).expect("described");
        let responses = operation["responses"].as_object().expect("an object");
        let code = |code: &String| code.parse().unwrap_or(500);
        responses.keys().map(code).collect()
    }

    fn operation(&self, method: &str, path: &str) -> Result<&Value, String> {
        let paths = self.0["paths"].as_object().expect("an object");
        let described = paths.iter().find(|(pattern, _)| matches(pattern, path));
        let (_, operations) = described.ok_or_else(|| format!("no path {path}"))?;
        operations
            .get(method)
            .ok_or_else(|| format!("no {method} of {path}"))
    }

    fn fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            return Err(format!("{at}: {value} is none of {words:?}"));
        }
        match schema["type"].as_str() {
            Some("object") => self.object_fits(schema, value, at),
            Some("string") if value.is_string() => Ok(()),
            Some("boolean") if value.is_boolean() => Ok(()),
            Some("integer") => integer_fits(schema, value, at),
            Some(kind) => Err(format!("{at}: {value} is no {kind}")),
            None => Err(format!("{at}: a schema without a type")),
        }
    }

    fn object_fits(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let object = value.as_object().ok_or(format!("{at}: no object"))?;
        for required in schema["required"].as_array().into_iter().flatten() {
            let name = required.as_str().expect("a name");
            if !object.contains_key(name) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, value) in object {
            let property = schema["properties"].get(name);
            let property = property.ok_or_else(|| format!("{at}: {name} is unknown"))?;
            self.fits(property, value, &format!("{at}.{name}"))?;
        }
        Ok(())
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                self.resolve(self.0.pointer(pointer).expect("it is described"))
            }
            None => schema,
        }
    }
}

fn integer_fits(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let number = value
        .as_u64()
        .ok_or_else(|| format!("{at}: {value} is no integer"))?;
    let bound = |name: &str| schema[name].as_u64();
    let most = match schema["format"].as_str() {
        Some("int64") => Some(i64::MAX as u64),
        _ => None,
    };
    let fits = bound("minimum").is_none_or(|least| number >= least)
        && bound("maximum").is_none_or(|most| number <= most)
        && most.is_none_or(|most| number <= most);
    fits.then_some(())
        .ok_or_else(|| format!("{at}: {number} is out of bounds"))
}

/// Whether the path is of the form: `/drives/{drive_id}`.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(pattern, part)| {
            *pattern == part || (pattern.starts_with('{') && !part.is_empty())
        })
}
