//! Answers about images.

use serde::Deserialize;

use super::Malformed;
use super::value;

/// The layers of an image, from the answer to `GET /images/{name}/json`.
pub fn layers(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "RootFS")]
        root: Root,
    }
    #[derive(Deserialize)]
    struct Root {
        #[serde(rename = "Layers", default)]
        layers: Option<Vec<String>>,
    }
    let raw: Raw = serde_json::from_slice(bytes)?;
    Ok(raw.root.layers.unwrap_or_default())
}

/// The tags of all images of the answer to `GET /images/json`.
pub fn tags(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "RepoTags", default)]
        tags: Option<Vec<String>>,
    }
    let raw: Vec<Raw> = serde_json::from_slice(bytes)?;
    Ok(raw
        .into_iter()
        .flat_map(|image| image.tags.unwrap_or_default())
        .collect())
}

/// The end of a load, from its stream of JSON objects: whether it went well, or the engine's words.
///
/// The status was 200 before the work began, so a failure is told in the stream.
pub fn progress(bytes: &[u8]) -> Result<Result<(), String>, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        error: Option<String>,
    }
    for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Raw>() {
        if let Some(error) = line?.error {
            return Ok(Err(value::excerpt(&error)));
        }
    }
    Ok(Ok(()))
}
