//! The name of a branch.

use super::Error;

/// A branch's short name, as `git check-ref-format --branch` allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch(String);

impl Branch {
    /// Reads a name; a `refs/heads/` before it is fine.
    ///
    /// # Errors
    /// If no branch can be called that.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let name = text.strip_prefix("refs/heads/").unwrap_or(text);
        if is_valid(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::BranchName {
                name: text.to_owned(),
            })
        }
    }

    /// The short name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The whole name in the repository.
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

fn is_valid(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let part_is_valid =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    name.len() <= 255
        && name != "@"
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(part_is_valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_git_has_them() {
        for name in ["master", "release/1.0", "über", "refs/heads/main", "a@b"] {
            assert!(Branch::parse(name).is_ok(), "{name}");
        }
        for name in [
            "", "-b", "a b", "a..b", "a*", "a:b", "+a", "@", "a@{1}", ".a", "a/.b", "a//b", "/a",
            "a/", "a.lock", "a.", "a\nb", "a\\b", "a^", "a~1", "a?", "a[",
        ] {
            // A plus is fine inside a name; before it, it has a meaning in a refspec only.
            assert_eq!(Branch::parse(name).is_ok(), name == "+a", "{name:?}");
        }
        assert_eq!(
            Branch::parse("refs/heads/main").expect("valid").reference(),
            "refs/heads/main"
        );
    }
}
