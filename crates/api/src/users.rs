//! Users that VMMs run as: numbers that no account has.

use serde::{Deserialize, Serialize};

/// A range of user ids, and of the group ids of the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", try_from = "Said")]
pub struct VmmUsers {
    first: u32,
    count: u32,
}

/// A range that VMMs cannot run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VmmUsersError {
    /// There is nobody in it.
    #[error("there is no user in the range: count is 0")]
    Empty,
    /// It begins with users of the system's.
    #[error(
        "user {first} is one of the system's: those below {} are",
        VmmUsers::LOWEST
    )]
    System {
        /// The first user.
        first: u32,
    },
    /// It goes beyond what the kernel knows, or holds a number with a meaning of its own.
    #[error("the range holds user {user}, which {meaning}")]
    Reserved {
        /// The number.
        user: u64,
        /// Its meaning.
        meaning: &'static str,
    },
}

/// As it is written.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Said {
    first: u32,
    count: u32,
}

impl VmmUsers {
    /// Users below are the system's.
    const LOWEST: u32 = 1000;

    /// A range of `count` users from `first` on.
    ///
    /// # Errors
    /// If there is nobody in it, or somebody whose number means something.
    pub fn new(first: u32, count: u32) -> Result<Self, VmmUsersError> {
        if count == 0 {
            return Err(VmmUsersError::Empty);
        }
        if first < Self::LOWEST {
            return Err(VmmUsersError::System { first });
        }
        let range = u64::from(first)..u64::from(first) + u64::from(count);
        let reserved = [
            (65_534, "is `nobody`"),
            (65_535, "means no user to older programs"),
            (u64::from(u32::MAX), "means no user"),
        ];
        match reserved.iter().find(|(user, _)| range.contains(user)) {
            Some(&(user, meaning)) => Err(VmmUsersError::Reserved { user, meaning }),
            None => Ok(Self { first, count }),
        }
    }

    /// The first of them.
    pub fn first(self) -> u32 {
        self.first
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// The one `offset` behind the first; past the last it begins anew.
    pub fn at(self, offset: u64) -> u32 {
        let offset = offset % u64::from(self.count);
        self.first + u32::try_from(offset).expect("less than the count, which is as wide")
    }
}

impl Default for VmmUsers {
    /// 65536 users from 0x7c00_0000 on, where neither distributions nor containers put theirs.
    fn default() -> Self {
        Self {
            first: 2_080_374_784,
            count: 65_536,
        }
    }
}

impl TryFrom<Said> for VmmUsers {
    type Error = VmmUsersError;

    fn try_from(said: Said) -> Result<Self, VmmUsersError> {
        Self::new(said.first, said.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_users_of_no_meaning() {
        let default = VmmUsers::default();
        assert_eq!(VmmUsers::new(default.first, default.count), Ok(default));
        assert_eq!(VmmUsers::new(1000, 0), Err(VmmUsersError::Empty));
        for first in [0, 999] {
            let expected = Err(VmmUsersError::System { first });
            assert_eq!(VmmUsers::new(first, 1), expected);
        }
        for (first, count) in [
            (65_534, 1),
            (60_000, 9_000),
            (u32::MAX, 1),
            (u32::MAX - 1, 9),
        ] {
            let refused = VmmUsers::new(first, count);
            assert!(
                matches!(refused, Err(VmmUsersError::Reserved { .. })),
                "{first} {count}"
            );
        }
        assert!(VmmUsers::new(u32::MAX - 9, 9).is_ok());
    }

    #[test]
    fn past_the_last_it_begins_anew() {
        let users = VmmUsers::new(1000, 3).expect("a range");
        let all: Vec<u32> = (0..5).map(|offset| users.at(offset)).collect();
        assert_eq!(all, [1000, 1001, 1002, 1000, 1001]);
        assert!(users.at(u64::MAX) < 1003);
    }

    #[test]
    fn it_is_written_as_two_numbers() {
        let text = r#"{"first":2080374784,"count":65536}"#;
        assert_eq!(
            serde_json::from_str::<VmmUsers>(text).ok(),
            Some(VmmUsers::default())
        );
        assert_eq!(
            serde_json::to_string(&VmmUsers::default()).ok().as_deref(),
            Some(text)
        );
        for wrong in [
            r#"{"first":0,"count":1}"#,
            r#"{"first":1000}"#,
            r#"{"first":1000,"count":1,"x":1}"#,
        ] {
            assert!(serde_json::from_str::<VmmUsers>(wrong).is_err(), "{wrong}");
        }
    }
}
